//! One planned window to a network's input.

use ndarray::Array2;

use crate::CropPlan;

pub(crate) fn render(_pixels: &Array2<u16>, _plan: &CropPlan, _network: (usize, usize), _buffer: &mut [f32]) {}
