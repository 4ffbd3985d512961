//! What the tests share.

/// A mammogram of the shared data.
pub(crate) fn image(name: &str) -> Option<ndarray::Array2<u16>> {
    let bytes = cloister_test_data::read(name)?;
    Some(cloister_imaging::decode(&bytes, &cloister_imaging::DecodeLimits::default()).unwrap())
}
