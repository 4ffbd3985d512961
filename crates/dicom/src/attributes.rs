//! Values as what they stand for, and what has to be true of them before pixels are looked at.

use crate::{
    Damage, Refusal, Uid,
    codes::{self, SopClass},
    limits::MAGNIFIED,
    scan::DataSet,
    tag::Tag,
};

/// A value of text without its padding: spaces, or a zero byte behind UIDs (PS3.5, 6.2). Nothing if it is empty or not ASCII.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    let text = str::from_utf8(value).ok().filter(|text| text.is_ascii())?;
    Some(text.trim_matches([' ', '\0'])).filter(|text| !text.is_empty())
}

impl DataSet<'_> {
    /// A code string or another short text of ASCII; nothing if it is not there or empty.
    pub(crate) fn text(&self, tag: Tag) -> Result<Option<&str>, Refusal> {
        match self.value(tag) {
            None => Ok(None),
            Some(value) if value.iter().all(|byte| matches!(byte, b' ' | 0)) => Ok(None),
            Some(value) => text(value).map(Some).ok_or(Refusal::Value(tag)),
        }
    }

    /// Whether an attribute of YES or NO says YES; without it, no.
    pub(crate) fn is_yes(&self, tag: Tag) -> Result<bool, Refusal> {
        match self.text(tag)? {
            None | Some("NO") => Ok(false),
            Some("YES") => Ok(true),
            Some(_) => Err(Refusal::Value(tag)),
        }
    }

    pub(crate) fn uid(&self, tag: Tag) -> Result<Uid, Refusal> {
        let value = self.text(tag)?.ok_or(Refusal::Missing(tag))?;
        Uid::new(value).ok_or(Refusal::Value(tag))
    }

    /// An unsigned number of 16 bits; nothing if it is not there or empty.
    pub(crate) fn optional_number(&self, tag: Tag) -> Result<Option<u16>, Refusal> {
        match self.value(tag) {
            None | Some([]) => Ok(None),
            Some(&[low, high]) => Ok(Some(u16::from_le_bytes([low, high]))),
            Some(_) => Err(Refusal::Value(tag)),
        }
    }

    pub(crate) fn number(&self, tag: Tag) -> Result<u16, Refusal> {
        self.optional_number(tag)?.ok_or(Refusal::Missing(tag))
    }

    /// One decimal string, or several (PS3.5, 6.2, DS): finite; nothing if it is not there or empty.
    pub(crate) fn decimals<const N: usize>(&self, tag: Tag) -> Result<Option<[f64; N]>, Refusal> {
        let Some(text) = self.text(tag)? else { return Ok(None) };
        let mut parts = text.split('\\');
        let mut decimals = [0.0; N];
        for decimal in &mut decimals {
            let parsed = parts.next().and_then(|part| part.trim().parse::<f64>().ok());
            *decimal = parsed.filter(|number| number.is_finite()).ok_or(Refusal::Value(tag))?;
        }
        if parts.next().is_some() { Err(Refusal::Value(tag)) } else { Ok(Some(decimals)) }
    }
}

/// Refuses what is not a plain mammogram for presentation. Says which SOP class it is.
pub(crate) fn check_kind(data: &DataSet<'_>) -> Result<SopClass, Refusal> {
    let class = data.text(Tag::SOP_CLASS)?.ok_or(Refusal::Missing(Tag::SOP_CLASS))?;
    let intent = data.text(Tag::PRESENTATION_INTENT)?;
    if intent == Some("FOR PROCESSING") {
        return Err(Refusal::ForProcessing);
    }
    let class = codes::sop_class(class).map_err(Refusal::SopClass)?;
    if !matches!(intent, None | Some("FOR PRESENTATION")) {
        return Err(Refusal::Value(Tag::PRESENTATION_INTENT));
    }
    if data.text(Tag::MODALITY)? != Some("MG") {
        return Err(Refusal::Modality);
    }
    if data.text(Tag::NUMBER_OF_FRAMES)?.is_some_and(|frames| frames.trim_start_matches('0') != "1") {
        return Err(Refusal::Frames);
    }
    Ok(class)
}

/// Refuses breasts and views that the network was not made for.
pub(crate) fn check_breast(data: &DataSet<'_>) -> Result<(), Refusal> {
    if data.is_yes(Tag::IMPLANT)? {
        return Err(Refusal::Implant);
    }
    if data.is_yes(Tag::PARTIAL_VIEW)? {
        return Err(Refusal::PartialView);
    }
    if data.decimals::<1>(Tag::MAGNIFICATION)?.is_some_and(|[factor]| factor >= MAGNIFIED) {
        return Err(Refusal::Magnified);
    }
    Ok(())
}

/// How pixels are stored (PS3.3, C.7.6.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// 8 or 16.
    pub(crate) allocated: u16,
    /// 8 to 16, at the low end of what is allocated.
    pub(crate) stored: u16,
    pub(crate) signed: bool,
}

impl Format {
    pub(crate) fn read(data: &DataSet<'_>, limits: &cloister_imaging::DecodeLimits) -> Result<Self, Refusal> {
        if data.number(Tag::SAMPLES_PER_PIXEL)? != 1 {
            return Err(Refusal::Colour);
        }
        let (rows, columns) = (usize::from(data.number(Tag::ROWS)?), usize::from(data.number(Tag::COLUMNS)?));
        let (pixels, side) = (rows * columns, rows.max(columns));
        if pixels == 0 || pixels > limits.pixels || side > limits.side {
            return Err(Refusal::Size { width: columns, height: rows, pixels: limits.pixels, side: limits.side });
        }
        let allocated = data.number(Tag::BITS_ALLOCATED)?;
        let (stored, high) = (data.number(Tag::BITS_STORED)?, data.number(Tag::HIGH_BIT)?);
        if !matches!(allocated, 8 | 16) || !(8..=allocated).contains(&stored) || high != stored - 1 {
            return Err(Refusal::Bits { allocated, stored, high });
        }
        let signed = match data.number(Tag::PIXEL_REPRESENTATION)? {
            0 => false,
            1 => true,
            _ => return Err(Refusal::Value(Tag::PIXEL_REPRESENTATION)),
        };
        Ok(Self { rows, columns, allocated, stored, signed })
    }

    pub(crate) fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// The number that the low bits of a cell stand for.
    pub(crate) fn value(&self, cell: u16) -> i32 {
        let unused = 32 - u32::from(self.stored);
        let raised = u32::from(cell) << unused;
        if self.signed { raised.cast_signed() >> unused } else { (raised >> unused).cast_signed() }
    }
}

/// What stored numbers mean as greys (PS3.3, C.7.6.3, C.7.5.1.1.2, C.8.11.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greys {
    /// MONOCHROME1: the lowest number is white.
    pub(crate) inverted: bool,
    /// The lowest and the highest number that mean no pixel.
    pub(crate) padding: Option<(i32, i32)>,
}

impl Greys {
    pub(crate) fn read(data: &DataSet<'_>, signed: bool) -> Result<Self, Refusal> {
        let inverted = match data.text(Tag::PHOTOMETRIC)?.ok_or(Refusal::Missing(Tag::PHOTOMETRIC))? {
            "MONOCHROME1" => true,
            "MONOCHROME2" => false,
            _ => return Err(Refusal::Colour),
        };
        let shape = match data.text(Tag::LUT_SHAPE)? {
            None => inverted,
            Some("INVERSE") => true,
            Some("IDENTITY") => false,
            Some(_) => return Err(Refusal::Value(Tag::LUT_SHAPE)),
        };
        if shape != inverted {
            return Err(Refusal::Contradiction(Tag::PHOTOMETRIC, Tag::LUT_SHAPE));
        }
        if data.modality_lut {
            return Err(Refusal::Greys(Tag::MODALITY_LUT));
        }
        if data.decimals::<1>(Tag::RESCALE_SLOPE)?.is_some_and(|[slope]| slope <= 0.0) {
            return Err(Refusal::Greys(Tag::RESCALE_SLOPE));
        }
        data.decimals::<1>(Tag::RESCALE_INTERCEPT)?;
        let number = |number: u16| if signed { i32::from(number.cast_signed()) } else { i32::from(number) };
        let value = data.optional_number(Tag::PADDING_VALUE)?.map(number);
        let limit = data.optional_number(Tag::PADDING_LIMIT)?.map(number);
        let padding = match (value, limit) {
            (None, None) => None,
            (None, Some(_)) => return Err(Refusal::Missing(Tag::PADDING_VALUE)),
            // The limit may lie on either side (PS3.3, C.7.5.1.1.2).
            (Some(value), limit) => {
                let limit = limit.unwrap_or(value);
                Some((value.min(limit), value.max(limit)))
            }
        };
        Ok(Self { inverted, padding })
    }
}

impl From<Damage> for Refusal {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}
