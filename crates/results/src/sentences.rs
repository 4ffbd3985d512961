//! What the documents say in words.

use cloister_imaging::{Laterality, View};

use crate::exam::{Exam, Scored, Scores};

/// Stands in every object.
pub(crate) const NOTICE: &str = "Not for clinical use: a research result. A neural network scored whole images. It looked for no \
    lesions and marks no places: that nothing is marked does not mean that nothing is there. A score is neither a probability of \
    cancer nor a diagnosis.";

pub(crate) const SIDES: [Laterality; 2] = [Laterality::Left, Laterality::Right];

/// The score that the operating point is about comes first.
fn scores(exam: &Exam, scores: &Scores) -> String {
    let about = |label: &String| *label == exam.operating_point.score;
    let (first, others): (Vec<_>, Vec<_>) = scores.iter().partition(|(label, _)| about(label));
    let words = first.into_iter().chain(others).map(|(label, score)| format!("{label} {score:.6}"));
    words.collect::<Vec<_>>().join(", ")
}

fn title(side: Laterality) -> &'static str {
    match side {
        Laterality::Left => "Left breast",
        Laterality::Right => "Right breast",
    }
}

/// The scores of one image.
pub(crate) fn view(exam: &Exam, scored: &Scored) -> String {
    let said = format!("{}: {}.", scored.source.view, scores(exam, &scored.scores));
    if scored.findings.is_empty() { said } else { format!("{said} Look twice: {}.", scored.findings.join("; ")) }
}

/// What was found of the exam as a whole, where something was.
pub(crate) fn findings(exam: &Exam) -> Option<String> {
    (!exam.findings.is_empty()).then(|| format!("Of the exam: {}.", exam.findings.join("; ")))
}

/// What a map is, and of which score. Whoever sees the picture alone has to know.
pub(crate) fn map(exam: &Exam, scored: &Scored, label: &str) -> Vec<String> {
    let score = scored.scores.get(label).copied().unwrap_or_default();
    vec![
        format!("The map is for {label}, whose score of this view is {score:.6}."),
        "Its strongest colour is its own highest value, which the map of a normal image has too.".to_owned(),
        view(exam, scored),
    ]
}

/// The scores of a breast, and which of its views they are of.
pub(crate) fn breast(exam: &Exam, side: Laterality) -> String {
    let there: Vec<&str> = exam.of(side).map(|scored| scored.source.view.as_str()).collect();
    let missing = View::ALL.into_iter().find(|view| view.laterality() == side && !there.contains(&view.as_str()));
    let said = match (exam.mean(side), missing) {
        _ if there.is_empty() => "no view was given, and nothing is said about it".to_owned(),
        (Some(mean), _) => format!("{}, the mean of {}", scores(exam, &mean), there.join(" and ")),
        (None, Some(missing)) => format!("no score, because no {missing} was given"),
        (None, None) => "no score".to_owned(),
    };
    format!("{}: {said}.", title(side))
}

/// How the breasts stand to the operating point.
pub(crate) fn operating_point(exam: &Exam) -> String {
    let point = &exam.operating_point;
    let stand = |side| {
        let word = match exam.mean(side) {
            Some(mean) if mean.get(&point.score).is_some_and(|score| *score >= point.least) => "reached",
            Some(_) => "not reached",
            None => "not known",
        };
        format!("{} {word}", title(side))
    };
    let stands = SIDES.map(stand).join("; ");
    format!("Operating point \"{}\", a mean {} score of {} or more: {stands}.", point.label, point.score, point.least)
}

/// Who computed it, when, and what vouches for it.
pub(crate) fn provenance(exam: &Exam) -> [String; 3] {
    let model = &exam.model;
    let time = exam.time;
    let [hours, minutes] = [time.offset().whole_hours(), time.offset().minutes_past_hour()].map(i8::unsigned_abs);
    let sign = if time.offset().is_negative() { '-' } else { '+' };
    [
        format!("Model {}, version {}, SHA-384 {}.", model.name, model.version, hex::encode(model.digest)),
        format!("Receipt, SHA-384 {}.", hex::encode(exam.receipt_digest)),
        format!(
            "Computed by {} on {} at {}, UTC{sign}{hours:02}:{minutes:02}.",
            exam.software,
            exam.date(),
            exam.clock()
        ),
    ]
}
