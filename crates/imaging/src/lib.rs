//! Mammograms: decode, crop, centre, prepare.
