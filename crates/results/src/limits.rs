//! Every limit of what is written, with its reason.

/// Longest unique identifier, in characters (PS3.5, 9.1).
pub(crate) const UID: usize = 64;

/// Most component groups of a person's name: alphabetic, ideographic, phonetic (PS3.5, 6.2.1).
pub(crate) const NAME_GROUPS: usize = 3;

/// Most characters of each of them (PS3.5, 6.2).
pub(crate) const NAME_GROUP: usize = 64;

/// Most components of each of them: family, given, middle, prefix, suffix (PS3.5, 6.2.1).
pub(crate) const NAME_COMPONENTS: usize = 5;

/// Most characters of a text without a limit of its own (UT). Ours have a few hundred; a viewer has to show them.
pub(crate) const TEXT: usize = 16_384;

/// Most findings of an exam: a receipt has at most 16 of each view, and 16 of the whole.
pub(crate) const FINDINGS: usize = 5 * 16;

/// Most characters of a finding's words. Ours have some eighty.
pub(crate) const FINDING: usize = 128;

/// Most pixels of an overlay: what `cloister-imaging` decodes. Three bytes each stay far below what a length can say.
pub(crate) const PIXELS: usize = 32 << 20;

/// Narrowest and widest distance between pixels, in millimetres. Detectors have 0.05 to 0.1; a value outside is another unit.
pub(crate) const SPACING_MM: std::ops::RangeInclusive<f64> = 0.001..=10.0;
