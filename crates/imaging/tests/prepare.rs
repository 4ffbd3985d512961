//! What is prepared, and what is refused by name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use cloister_imaging::{Error, Laterality, Noise, View, prepare};
use ndarray::{Array2, s};
use proptest::prelude::*;

const NETWORK: (usize, usize) = (400, 300);

/// Half an ellipse on the chest's edge: `depth` columns deep at `middle`, `reach` rows up and down.
fn breast(size: (usize, usize), middle: usize, reach: usize, depth: usize, side: Laterality) -> Array2<u16> {
    let image = Array2::from_shape_fn(size, |(y, x)| {
        let (y, x) = ((y as f64 - middle as f64) / reach as f64, x as f64 / depth as f64);
        let inside = y * y + x * x < 1.0;
        if inside { (20_000.0 + (x * 40.0).sin() * 9_000.0 + (y * 30.0).cos() * 9_000.0) as u16 } else { 0 }
    });
    match side {
        Laterality::Left => image,
        Laterality::Right => mirrored(&image),
    }
}

fn left() -> Array2<u16> {
    breast((900, 700), 450, 350, 420, Laterality::Left)
}

fn mirrored(image: &Array2<u16>) -> Array2<u16> {
    image.slice(s![.., ..;-1]).to_owned()
}

/// Fills a rectangle's outline, `thickness` pixels wide, `inset` pixels from the edges.
fn framed(mut image: Array2<u16>, inset: usize, thickness: usize) -> Array2<u16> {
    let (height, width) = image.dim();
    let (bottom, right) = (height - inset, width - inset);
    let lines = [
        (inset..inset + thickness, inset..right),
        (bottom - thickness..bottom, inset..right),
        (inset..bottom, inset..inset + thickness),
        (inset..bottom, right - thickness..right),
    ];
    for (rows, columns) in lines {
        image.slice_mut(s![rows, columns]).fill(3000);
    }
    image
}

fn refused(image: &Array2<u16>, view: View) -> Option<Error> {
    prepare(image, view, NETWORK).err()
}

#[test]
fn a_breast_is_found_with_its_margin() {
    let prepared = prepare(&left(), View::LCc, NETWORK).unwrap();
    let window = prepared.window;
    // A diamond of radius 100 fits into the ends at the chest as far up and down as the ellipse reaches in column 100: to rows
    // 450 -+ 350 sqrt(1 - (100 / 420)^2), which are 111 and 789. Then 50 pixels of margin.
    assert_eq!((window.top, window.bottom, window.left, window.right), (111 - 50, 789 + 1 + 50, 0, 420 + 50));
    assert_eq!(prepared.distance_from_starting_side, 0);
    assert_eq!(prepared.crop_size(), (window.bottom - window.top, window.right));
}

#[test]
fn an_empty_strip_at_the_chest_is_measured() {
    let mut image = Array2::zeros((900, 800));
    image.slice_mut(s![.., 70..770]).assign(&left());
    let prepared = prepare(&image, View::LCc, NETWORK).unwrap();
    assert_eq!((prepared.window.left, prepared.distance_from_starting_side), (70, 70));
    let prepared = prepare(&mirrored(&image), View::RMlo, NETWORK).unwrap();
    assert_eq!((prepared.window.right, prepared.distance_from_starting_side), (730, 70));
}

#[test]
fn a_marker_apart_from_the_breast_is_left_out() {
    let mut marked = left();
    marked.slice_mut(s![20..60, 600..680]).fill(65535);
    let (plain, marked) =
        (prepare(&left(), View::LCc, NETWORK).unwrap(), prepare(&marked, View::LCc, NETWORK).unwrap());
    assert_eq!((plain.window, plain.best_center), (marked.window, marked.best_center));
}

#[test]
fn an_image_of_zeros_is_refused() {
    for size in [(900, 700), (1, 1), (0, 0), (0, 5)] {
        assert_eq!(refused(&Array2::zeros(size), View::LCc), Some(Error::AllZero));
    }
}

#[test]
fn an_image_too_small_to_hold_a_breast_is_refused() {
    let small = Error::TooSmall { width: 700, height: 200, least: 201 };
    assert_eq!(refused(&Array2::ones((200, 700)), View::LCc), Some(small));
    assert!(matches!(refused(&Array2::ones((1, 1)), View::RMlo), Some(Error::TooSmall { .. })));
}

#[test]
fn a_background_that_is_not_0_is_refused() {
    for side in [Laterality::Left, Laterality::Right] {
        let view = if side == Laterality::Left { View::LMlo } else { View::RCc };
        let plain = breast((900, 700), 450, 350, 420, side);
        assert_eq!(refused(&plain.mapv(|pixel| pixel + 1), view), Some(Error::NonZeroBackground), "a level");
        assert_eq!(refused(&plain.mapv(|pixel| u16::MAX - pixel), view), Some(Error::NonZeroBackground), "inverted");
        let mut noisy = plain;
        for ((y, x), pixel) in noisy.indexed_iter_mut() {
            // Nine pixels of ten.
            *pixel += u16::from((y * 7919 + x * 104_729) % 10 != 0);
        }
        assert_eq!(refused(&noisy, view), Some(Error::NonZeroBackground), "noise");
    }
}

#[test]
fn a_frame_is_refused() {
    for (inset, thickness) in [(0, 1), (0, 12), (0, 30), (5, 2), (30, 4)] {
        assert_eq!(refused(&framed(left(), inset, thickness), View::LCc), Some(Error::Frame), "{inset} {thickness}");
        let right = framed(mirrored(&left()), inset, thickness);
        assert_eq!(refused(&right, View::RMlo), Some(Error::Frame), "{inset} {thickness}");
    }
}

#[test]
fn the_other_breast_is_refused_by_name() {
    for (view, found) in [(View::LCc, Laterality::Right), (View::LMlo, Laterality::Right)] {
        let error = refused(&mirrored(&left()), view).unwrap();
        assert_eq!(error, Error::WrongSide { view, found });
        assert!(error.to_string().contains(&format!("looks like a right breast, but the view says {view}")));
    }
    for view in [View::RCc, View::RMlo] {
        assert_eq!(refused(&left(), view), Some(Error::WrongSide { view, found: Laterality::Left }));
    }
}

#[test]
fn the_other_breast_is_refused_where_it_fills_the_width_or_stands_apart() {
    let large = breast((900, 700), 450, 440, 700, Laterality::Right);
    assert!(matches!(refused(&large, View::LCc), Some(Error::WrongSide { .. })));
    let mut apart = Array2::zeros((900, 760));
    apart.slice_mut(s![.., ..700]).assign(&mirrored(&left()));
    assert!(matches!(refused(&apart, View::LMlo), Some(Error::WrongSide { .. })));
}

#[test]
fn large_and_shifted_breasts_are_not_refused() {
    // Larger than the picture on three sides, and cut off at the top as an oblique view is.
    let large = breast((900, 700), 450, 440, 700, Laterality::Left);
    assert_eq!(refused(&large, View::LCc), None);
    assert_eq!(refused(&breast((900, 700), 200, 600, 500, Laterality::Left), View::LMlo), None);
    // A canvas so wide that the breast lies in its other half.
    let mut wide = Array2::zeros((900, 2600));
    wide.slice_mut(s![.., 1500..2200]).assign(&left());
    assert_eq!(refused(&wide, View::LCc), None);
}

#[test]
fn specks_and_thin_shapes_are_no_breast() {
    let mut image = Array2::zeros((900, 700));
    image.slice_mut(s![100..300, 0..600]).fill(9);
    assert_eq!(refused(&image, View::LCc), Some(Error::NoBreast(200)));
}

#[test]
fn a_network_without_a_window_is_refused() {
    for network in [(0, 5), (5, 0), (100_000, 5)] {
        assert!(matches!(prepare(&left(), View::LCc, network), Err(Error::NetworkWindow { .. })));
    }
}

#[test]
fn a_buffer_of_another_size_is_refused() {
    let prepared = prepare(&left(), View::LCc, NETWORK).unwrap();
    let plan = prepared.crops(1, Noise::None)[0];
    let refused = prepared.render_into(&plan, &mut [0.0; 7]);
    assert_eq!(refused, Err(Error::BufferLength { got: 7, expected: 400 * 300 }));
}

#[test]
fn a_buffer_that_was_used_before_gives_the_same_crop() {
    let prepared = prepare(&mirrored(&left()), View::RMlo, NETWORK).unwrap();
    let mut buffer = vec![f32::NAN; 400 * 300];
    for plan in prepared.crops(5, Noise::Default) {
        prepared.render_into(&plan, &mut buffer).unwrap();
        assert_eq!(prepared.render(&plan).as_slice().unwrap(), buffer);
    }
}

#[test]
fn a_uniform_window_stays_finite() {
    let mut image = Array2::zeros((900, 700));
    image.slice_mut(s![100..800, ..300]).assign(&Array2::from_shape_fn((700, 300), |(y, x)| (20 * (y + x)) as u16 + 1));
    image.slice_mut(s![100..800, 300..500]).fill(10_000);
    let prepared = prepare(&image, View::LCc, (64, 64)).unwrap();
    for plan in prepared.crops(3, Noise::Default) {
        let crop = prepared.render(&plan);
        assert!(crop.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn any_layout_in_memory_gives_the_same_result() {
    let columns_first = left().reversed_axes().as_standard_layout().into_owned().reversed_axes();
    assert_eq!(columns_first, left());
    let (one, other) =
        (prepare(&left(), View::LCc, NETWORK).unwrap(), prepare(&columns_first, View::LCc, NETWORK).unwrap());
    let plan = one.crops(2, Noise::Default)[1];
    assert_eq!((one.window, one.best_center), (other.window, other.best_center));
    assert_eq!(one.render(&plan), other.render(&plan));
}

fn images() -> impl Strategy<Value = Array2<u16>> {
    let rectangles = prop::collection::vec((0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64, any::<u16>()), 0..5);
    ((1usize..420, 1usize..420), rectangles).prop_map(|(size, rectangles)| {
        let mut image = Array2::zeros(size);
        let at = |length: usize, share: f64| (length as f64 * share) as usize;
        for (top, left, height, width, value) in rectangles {
            let (top, left) = (at(size.0, top), at(size.1, left));
            let (bottom, right) = (top + at(size.0 - top, height) + 1, left + at(size.1 - left, width) + 1);
            image.slice_mut(s![top..bottom.min(size.0), left..right.min(size.1)]).fill(value);
        }
        // Greys that differ: what is of one is refused.
        let grain = |(y, x): (usize, usize)| (y * 7919 + x * 104_729) as u16 | 1;
        image.indexed_iter_mut().filter(|(_, grey)| **grey != 0).for_each(|(at, grey)| *grey = grain(at));
        image
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_image_and_no_network_window_panic(
        image in images(),
        view in prop::sample::select(View::ALL.to_vec()),
        network in (1usize..600, 1usize..600),
    ) {
        let Ok(prepared) = prepare(&image, view, network) else { return Ok(()) };
        let (window, size) = (prepared.window, prepared.crop_size());
        prop_assert!(window.bottom <= image.nrows() && window.right <= image.ncols());
        prop_assert_eq!(size, (window.bottom - window.top, window.right - window.left));
        let plans = prepared.crops(1, Noise::None).into_iter().chain(prepared.crops(2, Noise::Default));
        for plan in plans {
            let crop = prepared.render(&plan);
            prop_assert_eq!(crop.dim(), network);
            prop_assert!(crop.iter().all(|value| value.is_finite()));
        }
    }
}
