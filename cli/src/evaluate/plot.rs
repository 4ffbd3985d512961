//! ROC curves as a picture: an SVG that any browser shows.

use std::fmt::Write;

use super::measure::Measured;

/// The square that the curves are in, in the picture's own units, and what is left around it.
const SIDE: f64 = 420.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;
const AROUND: f64 = 150.0;

/// Colours that are told apart by those who see red and green alike (Okabe and Ito, 2008).
const COLOURS: [&str; 5] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"];

pub(super) fn svg(measured: &[(String, Measured)]) -> String {
    let (width, height) = (SIDE + AROUND, SIDE + AROUND + 20.0 * measured.len() as f64);
    let place = |(alarms, found): (f64, f64)| (LEFT + alarms * SIDE, TOP + (1.0 - found) * SIDE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#999999\"/>\n"
    );
    // Writing into a string does not fail.
    let mut add = |line: std::fmt::Arguments<'_>| {
        let _ = svg.write_fmt(line);
    };
    let ((x1, y1), (x2, y2)) = (place((0.0, 0.0)), place((1.0, 1.0)));
    add(format_args!("<path d=\"M {x1} {y1} L {x2} {y2}\" stroke=\"#999999\" stroke-dasharray=\"3 3\"/>\n"));
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let ((x, bottom), (left, y)) = (place((share, 0.0)), place((0.0, share)));
        add(format_args!("<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{share:.1}</text>\n", bottom + 18.0));
        add(format_args!("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{share:.1}</text>\n", left - 8.0, y + 4.0));
    }
    let (middle, below) = (LEFT + SIDE / 2.0, TOP + SIDE + 42.0);
    add(format_args!("<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">1 - specificity</text>\n"));
    let y = TOP + SIDE / 2.0;
    add(format_args!("<text transform=\"translate(22 {y}) rotate(-90)\" text-anchor=\"middle\">sensitivity</text>\n"));
    for (at, (label, measured)) in measured.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let corners: Vec<_> = measured.roc.iter().map(|corner| place(*corner)).collect();
        let points: Vec<_> = corners.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            points.join(" ")
        ));
        let area = measured.auc.map_or("no area".to_owned(), |area| {
            format!("area {:.3} ({:.3} to {:.3})", area.value, area.low, area.high)
        });
        let y = below + 20.0 * (at + 1) as f64;
        let images = measured.positive + measured.negative;
        // Labels are lower-case letters, digits and '_': nothing to escape.
        add(format_args!("<text x=\"{LEFT}\" y=\"{y}\" fill=\"{colour}\">{label}: {area}, {images} images</text>\n"));
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::super::measure::measure;
    use super::*;

    #[test]
    fn a_label_has_a_curve_and_a_line_of_words() {
        let scored = [(0.9, true), (0.3, false)];
        let svg = svg(&[("benign".to_owned(), measure(&scored, 0.5)), ("malignant".to_owned(), measure(&[], 0.5))]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("benign: area 1.000 (0.000 to 1.000), 2 images"), "{svg}");
        assert!(svg.contains("malignant: no area, 0 images"), "{svg}");
    }
}
