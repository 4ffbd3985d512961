//! Latency against offered rate as a picture: an SVG that any browser shows.

use std::fmt::Write;

use super::summary::{Latency, Load, Stage};

/// The picture, in its own units, and what is left around the axes.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 90.0;
const BOTTOM: f64 = 70.0;

/// About as many marks as an axis has.
const TICKS: f64 = 6.0;

/// The least that an axis goes up to: a microsecond.
const LEAST: f64 = 0.001;

/// One percentile's name, colour (told apart by those who see red and green alike: Okabe and Ito, 2008), dashes, and value.
struct Series {
    name: &'static str,
    colour: &'static str,
    dashes: &'static str,
    value: fn(&Latency) -> f64,
}

const SERIES: [Series; 4] = [
    Series { name: "p50", colour: "#0072B2", dashes: "none", value: |latency| latency.p50 },
    Series { name: "p90", colour: "#009E73", dashes: "8 3", value: |latency| latency.p90 },
    Series { name: "p99", colour: "#D55E00", dashes: "4 3", value: |latency| latency.p99 },
    Series { name: "max", colour: "#777777", dashes: "1 3", value: |latency| latency.max },
];

/// A rate, what it came to, and whether all requests were answered.
struct Point {
    rate: f64,
    latency: Latency,
    all_answered: bool,
}

/// One axis: from 0 to a round number, with marks at round distances.
struct Axis {
    most: f64,
    step: f64,
}

impl Axis {
    fn to(largest: f64) -> Self {
        let rough = largest.max(LEAST) / TICKS;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * magnitude).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * magnitude);
        Self { most: step * (largest / step).ceil().max(1.0), step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = (self.most / self.step).round() as u32;
        (0..=count).map(|n| f64::from(n) * self.step)
    }

    /// With as many decimals as its marks need.
    fn label(&self, value: f64) -> String {
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{value:.decimals$}")
    }
}

/// The picture of all rates at which something was answered; none when there is no such rate.
pub fn svg(stages: &[Stage]) -> Option<String> {
    let points = points(stages);
    let saturated = stages.iter().find(|stage| matches!(stage.load, Load::Saturated { .. }));
    let saturated = saturated.map(|stage| stage.achieved_per_second);
    let unloaded = stages.iter().find(|stage| stage.load == Load::Unloaded).and_then(|stage| stage.latency_ms);
    let unloaded = unloaded.map(|latency| latency.p50);
    let rates = points.iter().map(|point| point.rate).reduce(f64::max)?;
    let longest = points.iter().map(|point| point.latency.max).reduce(f64::max)?;
    let (x, y) =
        (Axis::to(rates.max(saturated.unwrap_or_default())), Axis::to(longest.max(unloaded.unwrap_or_default())));
    let at = |rate: f64, ms: f64| {
        (LEFT + rate / x.most * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - ms / y.most * (HEIGHT - TOP - BOTTOM))
    };
    let mut out = begin();
    axes(&mut out, &x, &y, &at);
    if let Some(rate) = saturated {
        let ((across, bottom), (_, top)) = (at(rate, 0.0), at(rate, y.most));
        let (anchor, beside) = if across > WIDTH / 2.0 { ("end", -6.0) } else { ("start", 6.0) };
        let name = Name { text: "answered a second at saturation", anchor, x: across + beside, y: top + 14.0 };
        guide(&mut out, [across, bottom, across, top], &name);
    }
    if let Some(ms) = unloaded {
        let ((left, height), (right, _)) = (at(0.0, ms), at(x.most, ms));
        let name = Name { text: "p50 of one at a time", anchor: "end", x: right - 6.0, y: height - 6.0 };
        guide(&mut out, [left, height, right, height], &name);
    }
    // The smallest percentile above the others.
    for series in SERIES.iter().rev() {
        line(&mut out, series, &points, &at);
    }
    legend(&mut out);
    out += "</svg>\n";
    Some(out)
}

fn points(stages: &[Stage]) -> Vec<Point> {
    let point = |stage: &Stage| match (stage.load, stage.latency_ms) {
        (Load::Open { offered_per_second: rate }, Some(latency)) => {
            Some(Point { rate, latency, all_answered: stage.counts.answered == stage.counts.requests })
        }
        _ => None,
    };
    let mut points: Vec<_> = stages.iter().filter_map(point).collect();
    points.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    points
}

// To a text nothing fails to be written.

fn begin() -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222222\">\n\
         <title>Latency against offered rate</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"18\">Latency against offered rate</text>\n"
    )
}

fn axes(out: &mut String, x: &Axis, y: &Axis, at: &impl Fn(f64, f64) -> (f64, f64)) {
    for rate in x.ticks() {
        let ((across, bottom), (_, top)) = (at(rate, 0.0), at(rate, y.most));
        let _ = writeln!(
            out,
            "<line x1=\"{across:.1}\" y1=\"{bottom:.1}\" x2=\"{across:.1}\" y2=\"{top:.1}\" stroke=\"#e5e5e5\"/>\n\
             <text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 20.0,
            x.label(rate)
        );
    }
    for ms in y.ticks() {
        let ((left, height), (right, _)) = (at(0.0, ms), at(x.most, ms));
        let _ = writeln!(
            out,
            "<line x1=\"{left:.1}\" y1=\"{height:.1}\" x2=\"{right:.1}\" y2=\"{height:.1}\" stroke=\"#e5e5e5\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            height + 4.0,
            y.label(ms)
        );
    }
    let ((left, bottom), (right, top)) = (at(0.0, 0.0), at(x.most, y.most));
    let (middle, beside) = ((left + right) / 2.0, (top + bottom) / 2.0);
    let _ = writeln!(
        out,
        "<path d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\" fill=\"none\" stroke=\"#222222\"/>\n\
         <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">offered rate (requests a second)</text>\n\
         <text transform=\"translate(24 {beside:.1}) rotate(-90)\" text-anchor=\"middle\">latency from the scheduled start (ms)</text>",
        bottom + 48.0
    );
}

/// What a line is called, and where that stands.
struct Name {
    text: &'static str,
    anchor: &'static str,
    x: f64,
    y: f64,
}

/// A line across the picture, with its name.
fn guide(out: &mut String, [x1, y1, x2, y2]: [f64; 4], name: &Name) {
    let Name { text, anchor, x, y } = name;
    let _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#aa4499\" stroke-dasharray=\"2 2\"/>\n\
         <text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"11\" fill=\"#aa4499\">{text}</text>"
    );
}

fn line(out: &mut String, series: &Series, points: &[Point], at: &impl Fn(f64, f64) -> (f64, f64)) {
    let Series { colour, dashes, value, .. } = series;
    let places: Vec<_> =
        points.iter().map(|point| (at(point.rate, value(&point.latency)), point.all_answered)).collect();
    let path: Vec<_> = places.iter().map(|((x, y), _)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
        path.join(" ")
    );
    for ((x, y), all_answered) in places {
        let fill = if all_answered { colour } else { "#ffffff" };
        let _ = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
    }
}

fn legend(out: &mut String) {
    const SPACE: f64 = 80.0;
    let height = 54.0;
    let mut x = LEFT;
    for Series { name, colour, dashes, .. } in &SERIES {
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{height}\" x2=\"{:.1}\" y2=\"{height}\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            x + 32.0,
            x + 38.0,
            height + 4.0
        );
        x += SPACE;
    }
    x += SPACE / 4.0;
    let _ = writeln!(
        out,
        "<circle cx=\"{x:.1}\" cy=\"{height}\" r=\"4\" fill=\"#ffffff\" stroke=\"#222222\" stroke-width=\"2\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\">some requests of this rate were refused or failed</text>",
        x + 12.0,
        height + 4.0
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::bench::generator::{Outcome, Sent};

    fn stage(load: Load, milliseconds: &[u64], refused: bool) -> Stage {
        let sent = |ended: Duration, outcome| Sent { due: Duration::ZERO, began: Duration::ZERO, ended, outcome };
        let mut requests: Vec<_> =
            milliseconds.iter().map(|&ms| sent(Duration::from_millis(ms), Outcome::Answered)).collect();
        if refused {
            let reason = "queue-full".to_owned();
            requests.push(sent(Duration::ZERO, Outcome::Refused { status: 503, reason }));
        }
        Stage::new(load, &requests, Duration::ZERO, Duration::from_secs(1))
    }

    fn open(offered_per_second: f64, milliseconds: &[u64], refused: bool) -> Stage {
        stage(Load::Open { offered_per_second }, milliseconds, refused)
    }

    /// Holds a text against the little of XML that is written here: elements close in order, attributes have two quotes each.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some((text, tag)) = rest.split_once('<') {
            assert!(!text.contains(['>', '&']), "{text:?}");
            let (tag, after) = tag.split_once('>').expect("a tag ends");
            assert!(tag.matches('"').count() % 2 == 0 && !tag.contains('<'), "{tag:?}");
            let name = tag.trim_matches('/').split([' ', '/']).next().unwrap().to_owned();
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => assert_eq!(open.pop(), Some(name)),
                (false, true) => {}
                (false, false) => open.push(name),
            }
            rest = after;
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
        for wrong in ["NaN", "inf"] {
            assert!(!svg.contains(wrong), "{wrong} in {svg}");
        }
    }

    #[test]
    fn the_picture_has_axes_with_units_a_legend_and_a_mark_for_refusals() {
        let stages = [
            stage(Load::Unloaded, &[380, 400], false),
            stage(Load::Saturated { workers: 4 }, &[900; 3], false),
            open(1.0, &[400, 500, 700], false),
            open(4.0, &[900, 3000, 6000], true),
        ];
        let svg = svg(&stages).unwrap();
        assert_well_formed(&svg);
        for words in ["offered rate (requests a second)", "(ms)", ">p50<", ">p99<", "at saturation", "one at a time"] {
            assert!(svg.contains(words), "{words}");
        }
        assert_eq!(svg.matches("<polyline").count(), SERIES.len());
        // One of two rates had a refusal; the last is the legend's.
        assert_eq!(svg.matches("fill=\"#ffffff\" stroke").count(), SERIES.len() + 1);
    }

    #[test]
    fn without_an_answered_rate_there_is_no_picture() {
        assert!(svg(&[stage(Load::Unloaded, &[5], false), open(2.0, &[], true)]).is_none());
    }

    #[test]
    fn an_axis_ends_at_or_after_its_largest_value_with_few_round_marks() {
        for (largest, most, step) in [(0.9, 1.0, 0.2), (6000.0, 6000.0, 1000.0), (3.0, 3.0, 0.5), (101.0, 120.0, 20.0)]
        {
            let axis = Axis::to(largest);
            assert!(
                (axis.most - most).abs() < 1e-9 && (axis.step - step).abs() < 1e-9,
                "{largest}: {} {}",
                axis.most,
                axis.step
            );
        }
        assert_eq!(Axis::to(0.9).label(0.2), "0.2");
        assert_eq!(Axis::to(6000.0).label(2000.0), "2000");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_was_measured_the_picture_is_well_formed_and_all_of_it_is_inside(
            rates in proptest::collection::vec((0.001..1000.0f64, proptest::collection::vec(0..400_000u64, 1..5)), 1..8),
        ) {
            let stages: Vec<_> = rates.iter().map(|(rate, times)| open(*rate, times, false)).collect();
            let svg = svg(&stages).unwrap();
            assert_well_formed(&svg);
            for circle in svg.lines().filter_map(|line| line.strip_prefix("<circle cx=\"")) {
                let x: f64 = circle.split('"').next().unwrap().parse().unwrap();
                prop_assert!((LEFT - 0.1..=WIDTH).contains(&x), "{}", x);
            }
        }
    }
}
