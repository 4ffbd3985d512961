//! Which breast, from which direction: from coded attributes alone, never from a file's name or a description.

use cloister_imaging::{Angle, Laterality, View};

use crate::{
    Finding, Refusal,
    attributes::text,
    codes::{self, Modifier, Projection},
    scan::DataSet,
    tag::Tag,
};

/// The view that the attributes name, and a finding if it took one that is not meant for it.
pub(crate) fn view(data: &DataSet<'_>) -> Result<(View, Option<Finding>), Refusal> {
    check_modifiers(data)?;
    let (projection, finding) = projection(data)?;
    let angle = match projection {
        Projection::Standard(angle) => angle,
        Projection::Other(name) => return Err(Refusal::OtherView(name)),
    };
    let view = match (laterality(data)?, angle) {
        (Laterality::Left, Angle::Cc) => View::LCc,
        (Laterality::Right, Angle::Cc) => View::RCc,
        (Laterality::Left, Angle::Mlo) => View::LMlo,
        (Laterality::Right, Angle::Mlo) => View::RMlo,
    };
    Ok((view, finding))
}

/// Refuses every modifier (PS3.3, C.8.11.7): each makes another picture than the plain view.
fn check_modifiers(data: &DataSet<'_>) -> Result<(), Refusal> {
    for path in [&[Tag::VIEW_CODE, Tag::VIEW_MODIFIER][..], &[Tag::VIEW_MODIFIER]] {
        if let Some((item, code)) = data.values(path, Tag::CODE_VALUE).next() {
            let scheme = data.values(path, Tag::CODING_SCHEME).find(|(other, _)| *other == item);
            let modifier = match (scheme.and_then(|(_, scheme)| text(scheme)), text(code)) {
                (Some(scheme), Some(code)) => codes::modifier(scheme, code),
                _ => Modifier::Other,
            };
            return Err(Refusal::ModifiedView(modifier));
        }
    }
    Ok(())
}

fn projection(data: &DataSet<'_>) -> Result<(Projection, Option<Finding>), Refusal> {
    let position = match data.value(Tag::VIEW_POSITION) {
        Some(value) => text(value).and_then(codes::view_position),
        None => None,
    };
    if let Some(coded) = coded_projection(data)? {
        return match position {
            Some(position) if position != coded => Err(Refusal::Contradiction(Tag::VIEW_CODE, Tag::VIEW_POSITION)),
            _ => Ok((coded, None)),
        };
    }
    if let Some(position) = position {
        return Ok((position, None));
    }
    // CBIS-DDSM's place for it. No orientation is written like a view: those are of the letters A, P, R, L, H and F, and two
    // values (PS3.3, C.7.6.1.1.1).
    match data.value(Tag::PATIENT_ORIENTATION).and_then(text) {
        Some("CC") => Ok((Projection::Standard(Angle::Cc), Some(Finding::ViewInPatientOrientation))),
        Some("MLO") => Ok((Projection::Standard(Angle::Mlo), Some(Finding::ViewInPatientOrientation))),
        _ => Err(Refusal::NoView),
    }
}

fn coded_projection(data: &DataSet<'_>) -> Result<Option<Projection>, Refusal> {
    let mut codes = data.values(&[Tag::VIEW_CODE], Tag::CODE_VALUE);
    let Some((item, code)) = codes.next() else { return Ok(None) };
    // The sequence has one item (PS3.3, C.8.11.7); of two, neither is the view.
    if codes.next().is_some() {
        return Err(Refusal::Value(Tag::VIEW_CODE));
    }
    let scheme = data.values(&[Tag::VIEW_CODE], Tag::CODING_SCHEME).find(|(other, _)| *other == item);
    match (scheme.and_then(|(_, scheme)| text(scheme)), text(code)) {
        (Some(scheme), Some(code)) => {
            codes::view(scheme, code).map(Some).ok_or(Refusal::OtherView("one that is not in PS3.16, CID 4014"))
        }
        _ => Err(Refusal::Value(Tag::VIEW_CODE)),
    }
}

/// ImageLaterality, else Laterality, else FrameLaterality; those that are there agree.
fn laterality(data: &DataSet<'_>) -> Result<Laterality, Refusal> {
    let frame = data.values(&[Tag::SHARED_GROUPS, Tag::FRAME_ANATOMY], Tag::FRAME_LATERALITY).next();
    let places = [
        (Tag::IMAGE_LATERALITY, data.value(Tag::IMAGE_LATERALITY)),
        (Tag::LATERALITY, data.value(Tag::LATERALITY)),
        (Tag::FRAME_LATERALITY, frame.map(|(_, value)| value)),
    ];
    let mut known: Option<(Tag, Laterality)> = None;
    for (tag, value) in places {
        let side = match value.and_then(text) {
            None => continue,
            Some("L") => Laterality::Left,
            Some("R") => Laterality::Right,
            Some(_) => return Err(Refusal::NoLaterality),
        };
        match known {
            Some((first, other)) if other != side => return Err(Refusal::Contradiction(first, tag)),
            Some(_) => {}
            None => known = Some((tag, side)),
        }
    }
    known.map(|(_, side)| side).ok_or(Refusal::NoLaterality)
}
