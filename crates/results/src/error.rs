//! Why nothing is written. No variant repeats what an attribute says: it may be a patient's.

use cloister_imaging::View;

/// The result of writing.
pub type Result<T> = std::result::Result<T, Error>;

/// Why nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value that its attribute cannot hold.
    #[error("{attribute} cannot be written: {rule}")]
    Value {
        /// The attribute's keyword (PS3.6).
        attribute: &'static str,
        /// What it breaks.
        rule: Rule,
    },
    /// An exam of nothing.
    #[error("there is no view to write a result for")]
    NoViews,
    /// One view twice.
    #[error("the view {0} is there twice")]
    Repeated(View),
    /// Two views that refer to one image, or a new object that takes an image's place or joins its series.
    #[error("two views have the same SOP Instance UID, or a new object the Series or SOP Instance UID of a source")]
    SameUid,
    /// Views of two patients.
    #[error("the views' patients differ: attributes of the Patient Module are not the same in all source files")]
    Patients,
    /// Views of two studies.
    #[error("the views' studies differ: attributes of the General Study Module are not the same in all source files")]
    Studies,
    /// A score that is none.
    #[error("the scores of {0} are not all between 0 and 1, or not of the same labels as other views'")]
    Scores(View),
    /// A threshold that is none.
    #[error("the operating point is about none of the scores, or its threshold is not between 0 and 1")]
    Threshold,
    /// A distance between pixels that no mammogram has.
    #[error("the pixel spacing of {0} is not between 0.001 and 10 mm")]
    Spacing(View),
    /// A year that a date cannot say.
    #[error("the time is not in the years 1 to 9999")]
    Time,
    /// An overlay on a view that the exam has not.
    #[error("the exam has no {0} to draw on")]
    NoSuchView(View),
    /// A map for a label that its view has no score of.
    #[error("the map of {0} is for a label that the view has no score of")]
    Label(View),
    /// A map that is none, or an image without pixels.
    #[error("the map of {0} does not hold its rows times its columns, or its image has no pixels")]
    Map(View),
    /// Pixels that do not fill the image.
    #[error("{rows} x {columns} pixels are not what the grey image and the map hold, or are none, or too many")]
    Pixels {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
}

/// What a value breaks of its value representation (PS3.5, 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// It has to say something.
    #[error("it is empty")]
    Empty,
    /// More characters than the value representation has.
    #[error("it has more than {0} characters")]
    TooLong(usize),
    /// A control character, or a backslash, which would make two values of it.
    #[error("it has a character that separates or controls")]
    Character,
    /// CS: not capitals, digits, spaces, underscores.
    #[error("it is no code string of capitals, digits, spaces and underscores")]
    CodeString,
    /// DA: no day of the calendar.
    #[error("it is no date as YYYYMMDD")]
    Date,
    /// TM: no time of a day.
    #[error("it is no time as HHMMSS.FFFFFF")]
    Time,
    /// PN: more groups or components than a name has.
    #[error("it is no name of up to three groups with up to five components each")]
    Name,
    /// UI: not numbers without leading zeros between dots.
    #[error("it is no unique identifier of numbers and dots")]
    Uid,
    /// Not one of the values that the attribute has.
    #[error("it is none of the attribute's values")]
    Term,
}
