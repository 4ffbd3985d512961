//! How fit a picture is for a score: what is measured of it once its breast was found, what of that a person should look at, and
//! what no score should be given for. The thresholds, and what real images measure, are in docs/quality.md.

use ndarray::Array2;
use serde::Serialize;

use crate::{Angle, Error, Laterality, View, Window, mask::Piece, quality};

mod histogram;
mod lines;

/// What a person should look at before they believe a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The breast goes on below the picture.
    CutOffBottom,
    /// The breast goes on past the edge away from the chest: the nipple may be missing.
    CutOffFar,
    /// The breast of a craniocaudal view goes on above the picture.
    CutOffTop,
    /// A straight stretch of exactly one grey lies on the breast.
    DrawnLine,
    /// A line runs along an edge of the picture, beside the breast.
    EdgeLine,
    /// More than markers is not 0 outside of the breast.
    LitBackground,
    /// The breast has few greys.
    LowContrast,
    /// Part of the breast has the highest grey: nothing shows there.
    Saturated,
    /// The breast covers little of the picture.
    SmallBreast,
    /// The picture looks like the other direction: a craniocaudal view that reaches the upper edge, or an oblique one that does not.
    ViewDoubtful,
}

impl Finding {
    /// Its name for programs, which does not change. Findings are in the order of their names.
    pub fn code(self) -> &'static str {
        match self {
            Self::CutOffBottom => "cut-off-bottom",
            Self::CutOffFar => "cut-off-far",
            Self::CutOffTop => "cut-off-top",
            Self::DrawnLine => "drawn-line",
            Self::EdgeLine => "edge-line",
            Self::LitBackground => "lit-background",
            Self::LowContrast => "low-contrast",
            Self::Saturated => "saturated",
            Self::SmallBreast => "small-breast",
            Self::ViewDoubtful => "view-doubtful",
        }
    }
}

/// From where on something is a finding, and from where on no score is given for it. Real images measure far from both
/// (docs/quality.md).
struct Threshold {
    finding: f64,
    abstention: f64,
}

/// Of [`Measures::covered`], from which on down: a compressed breast takes a fifth of its picture and more, what takes a hundredth is
/// no breast at the resolution that networks are trained at.
const COVERED: Threshold = Threshold { finding: 0.05, abstention: 0.01 };

/// Of [`Measures::spread`], from which on down: fat and gland are several times apart; what is within a twentieth is one grey and
/// noise.
const SPREAD: Threshold = Threshold { finding: 0.2, abstention: 0.05 };

/// Of [`Measures::brightest`]: a hundredth of a breast is the size of a mass; a fifth is more than all glandular tissue of many.
const BRIGHTEST: Threshold = Threshold { finding: 0.01, abstention: 0.2 };

/// Of [`Measures::far_edge`]: a nipple alone may touch; where half of the rows go on, the breast's front is missing.
const FAR_EDGE: Threshold = Threshold { finding: 0.05, abstention: 0.5 };

/// Of [`Measures::top_edge`] and [`Measures::bottom_edge`]: skin alone may touch; where three quarters of the widest row lie on the
/// edge, about half of the breast is missing.
const ACROSS_EDGE: Threshold = Threshold { finding: 0.1, abstention: 0.75 };

/// Of [`Measures::lit_outside`]: markers take less than a hundredth; a background is mostly background.
const LIT_OUTSIDE: Threshold = Threshold { finding: 0.02, abstention: 0.5 };

/// Of [`Measures::drawn_row`] and [`Measures::drawn_column`]: noise ends a stretch after some pixels. A box or a cross over half of the
/// breast both ways is more than a detector's dead line.
const DRAWN: Threshold = Threshold { finding: 0.1, abstention: 0.5 };

/// Of [`Measures::edge_line`]: markers fill less of a line. Frames are refused by name where they have three sides.
const EDGE_LINE: f64 = 0.5;

/// Of [`Measures::top_edge`]: from here on a craniocaudal view looks like an oblique one, which the armpit enters from above.
const ENTERS_ABOVE: f64 = 0.3;

/// Of [`Measures::gap_above`]: from here on an oblique view looks like a craniocaudal one.
const STARTS_BELOW: f64 = 0.01;

/// What a picture measures. Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// The share of the image that the breast covers.
    pub covered: f64,
    /// How far apart the darkest and the brightest twentieth of the breast's inside are, as a share of the brighter.
    pub spread: f64,
    /// The share of the breast's inside that has its highest grey.
    pub brightest: f64,
    /// The share of the breast's rows that reach the edge away from the chest.
    pub far_edge: f64,
    /// The share of the breast's widest row that lies on the image's first row.
    pub top_edge: f64,
    /// How far under the image's first row the first row begins that is not 0 near the chest, as a share of the height.
    pub gap_above: f64,
    /// The share of the breast's widest row that lies on the image's last row.
    pub bottom_edge: f64,
    /// How much is not 0 of what lies further from the chest than the breast and the rim that an erosion takes; as a share of that, or of a
    /// quarter of the image where it is less.
    pub lit_outside: f64,
    /// How full the fullest line along the top, bottom or far edge is, outside of the breast.
    pub edge_line: f64,
    /// The longest stretch of one grey along a row of the breast, as a share of its widest row.
    pub drawn_row: f64,
    /// The longest stretch of one grey along a column of the breast, as a share of its rows.
    pub drawn_column: f64,
}

/// How far from an edge a line may run to count as along it, as a part of the side: one in 20.
const BAND: usize = 20;

/// The ends of a breast's greys that count as its darkest and its brightest: a twentieth each.
const ENDS: (f64, f64) = (0.05, 0.95);

impl Measures {
    /// Measures the image of a breast that enters from the edge that `view` says. `radius` was eroded of it.
    pub(crate) fn of(image: &Array2<u16>, piece: &Piece, outline: Window, radius: usize, view: View) -> Self {
        let breast = Breast { image, outline, rows: piece.dilated_rows(radius), radius, laterality: view.laterality() };
        let greys = histogram::Histogram::of(image, piece);
        let (dark, bright) = (greys.quantile(ENDS.0), greys.quantile(ENDS.1));
        let place = lines::Place { top: outline.top, rows: &breast.rows };
        let (drawn_row, drawn_column) = lines::longest(image, place);
        let (lit_outside, edge_line) = breast.outside();
        Self {
            covered: share(breast.rows.iter().map(|(start, end)| end - start).sum(), image.len()),
            spread: share(bright - dark, bright),
            brightest: greys.highest(),
            far_edge: breast.far_edge(),
            top_edge: breast.on_row(0),
            gap_above: breast.gap_above(),
            bottom_edge: breast.on_row(image.nrows() - 1),
            lit_outside,
            edge_line,
            drawn_row: share(drawn_row, breast.widest()),
            drawn_column: share(drawn_column, breast.rows.len()),
        }
    }
}

impl Measures {
    /// What a person should look at, in the order of the findings' codes.
    ///
    /// # Errors
    /// What no score should be given for: too little breast, one grey, a saturated breast, one that is cut off or drawn over, a lit
    /// background.
    pub fn judge(&self, view: View) -> Result<Vec<Finding>, Error> {
        self.abstain(view)?;
        let oblique = view.angle() == Angle::Mlo;
        let other_view = if oblique { self.gap_above >= STARTS_BELOW } else { self.top_edge >= ENTERS_ABOVE };
        let saturated = self.brightest >= BRIGHTEST.finding;
        // What is saturated is of one grey without anybody's drawing.
        let drawn = !saturated && self.drawn_row.max(self.drawn_column) >= DRAWN.finding;
        let findings = [
            (self.bottom_edge >= ACROSS_EDGE.finding, Finding::CutOffBottom),
            (self.far_edge >= FAR_EDGE.finding, Finding::CutOffFar),
            (!oblique && self.top_edge >= ACROSS_EDGE.finding, Finding::CutOffTop),
            (drawn, Finding::DrawnLine),
            (self.edge_line >= EDGE_LINE, Finding::EdgeLine),
            (self.lit_outside >= LIT_OUTSIDE.finding, Finding::LitBackground),
            (self.spread <= SPREAD.finding, Finding::LowContrast),
            (saturated, Finding::Saturated),
            (self.covered <= COVERED.finding, Finding::SmallBreast),
            (other_view, Finding::ViewDoubtful),
        ];
        Ok(findings.into_iter().filter(|(found, _)| *found).map(|(_, finding)| finding).collect())
    }

    fn abstain(&self, view: View) -> Result<(), Error> {
        let across = ACROSS_EDGE.abstention;
        let above = view.angle() == Angle::Cc && self.top_edge >= across;
        if self.covered <= COVERED.abstention {
            Err(Error::LittleBreast)
        } else if self.spread <= SPREAD.abstention {
            Err(Error::Uniform)
        } else if self.brightest >= BRIGHTEST.abstention {
            Err(Error::Saturated)
        } else if self.far_edge >= FAR_EDGE.abstention || self.bottom_edge >= across || above {
            Err(Error::CutOff)
        } else if self.drawn_row.min(self.drawn_column) >= DRAWN.abstention {
            Err(Error::DrawnOver)
        } else if self.lit_outside >= LIT_OUTSIDE.abstention {
            Err(Error::NonZeroBackground)
        } else {
            Ok(())
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A breast's place in its image.
struct Breast<'a> {
    image: &'a Array2<u16>,
    outline: Window,
    /// First column and one past the last, from the outline's first row on.
    rows: Vec<(usize, usize)>,
    radius: usize,
    laterality: Laterality,
}

impl Breast<'_> {
    fn far_edge(&self) -> f64 {
        let (height, width) = self.image.dim();
        let column = match self.laterality {
            Laterality::Left => width - 1,
            Laterality::Right => 0,
        };
        let reaches = |&(start, end): &(usize, usize)| (start..end).contains(&column);
        let first = self.rows.iter().position(reaches).unwrap_or(0);
        let end = first + self.rows.iter().filter(|row| reaches(row)).count();
        let along = (self.outline.top + first, self.outline.top + end);
        let cut = self.cut(along, height, |y| self.image[(y, column)]);
        share(cut.min(self.rows.len()), self.rows.len())
    }

    /// How much of an edge the breast lies on, in pixels. The erosion takes the corners from what an edge cuts, so that what is lit beside
    /// the stretch counts too, as far as that reaches.
    fn cut(&self, (start, end): (usize, usize), length: usize, grey: impl Fn(usize) -> u16) -> usize {
        if start == end {
            return 0;
        }
        let lit = |at: &usize| grey(*at) != 0;
        let before = (start.saturating_sub(self.radius)..start).rev().take_while(lit).count();
        let after = (end..length.min(end + self.radius)).take_while(lit).count();
        before + (end - start) + after
    }

    fn widest(&self) -> usize {
        self.rows.iter().map(|(start, end)| end - start).max().unwrap_or(0)
    }

    fn on_row(&self, y: usize) -> f64 {
        let greys = quality::row(self.image, y);
        let widest = self.widest();
        share(self.cut(self.in_row(y), greys.len(), |x| greys[x]).min(widest), widest)
    }

    fn gap_above(&self) -> f64 {
        let (height, Window { left, right, .. }) = (self.image.nrows(), self.outline);
        let near = match self.laterality {
            Laterality::Left => left..left.midpoint(right),
            Laterality::Right => left.midpoint(right)..right,
        };
        let lit = |&y: &usize| quality::row(self.image, y)[near.clone()].iter().any(|&grey| grey != 0);
        share((0..height).find(lit).unwrap_or(height), height)
    }

    /// The columns of a row that are the breast's.
    fn in_row(&self, y: usize) -> (usize, usize) {
        y.checked_sub(self.outline.top).and_then(|row| self.rows.get(row)).copied().unwrap_or((0, 0))
    }

    /// How much of what is outside is not 0, and how full the fullest line along an edge is; the chest's is left out, which a breast
    /// shares with fog and with the detector's own edge.
    fn outside(&self) -> (f64, f64) {
        let (height, width) = self.image.dim();
        let (band_rows, band_columns) = (height.div_ceil(BAND), width.div_ceil(BAND));
        let first = match self.laterality {
            Laterality::Left => width - band_columns,
            Laterality::Right => 0,
        };
        let end_of_band = first + band_columns;
        let beyond = match self.laterality {
            Laterality::Left => (self.outline.right + self.radius).min(width)..width,
            Laterality::Right => 0..self.outline.left.saturating_sub(self.radius),
        };
        let mut columns = vec![0u32; band_columns];
        let (mut lit, mut fullest) = (0, 0.0f64);
        for y in 0..height {
            let greys = quality::row(self.image, y);
            let (start, end) = self.in_row(y);
            if y < band_rows || y >= height - band_rows {
                let in_row = quality::count_lit(&greys[..start]) + quality::count_lit(&greys[end..]);
                fullest = fullest.max(share(in_row, width));
            }
            let (before, after) = (start.clamp(first, end_of_band), end.clamp(first, end_of_band));
            for part in [first..before, after..end_of_band] {
                let columns = &mut columns[part.start - first..part.end - first];
                for (column, grey) in columns.iter_mut().zip(&greys[part]) {
                    *column = column.wrapping_add(u32::from(*grey != 0));
                }
            }
            lit += quality::count_lit(&greys[beyond.clone()]);
        }
        let fullest_column = share(columns.into_iter().max().unwrap_or(0) as usize, height);
        (share(lit, (beyond.len() * height).max(self.image.len() / 4)), fullest.max(fullest_column))
    }
}
