//! The filters of PNG's rows (PNG, third edition, section 9.2).

/// A row's filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    None,
    Sub,
    Up,
    Average,
    Paeth,
}

impl Type {
    /// By the byte before the row.
    pub(super) fn of(byte: u8) -> Option<Self> {
        [Self::None, Self::Sub, Self::Up, Self::Average, Self::Paeth].get(usize::from(byte)).copied()
    }
}

/// A row whose filter is taken off; a grey has `BYTES`, the high one first (section 7.1).
pub(super) struct Unfilter<'a, const BYTES: usize> {
    pub(super) filtered: &'a [[u8; BYTES]],
    /// The row above; zeros above the first.
    pub(super) above: &'a [u16],
    pub(super) row: &'a mut [u16],
}

impl<const BYTES: usize> Unfilter<'_, BYTES> {
    #[expect(
        clippy::redundant_closure,
        reason = "a function that is given by its name is called a pixel at a time, and not inlined"
    )]
    pub(super) fn by(self, kind: Type) {
        match kind {
            // Nothing of their own row, so that many greys are done at once.
            Type::None => self.row.iter_mut().zip(self.filtered).for_each(|(to, from)| *to = grey(*from)),
            Type::Up => {
                let greys = self.row.iter_mut().zip(self.filtered).zip(self.above);
                greys.for_each(|((to, from), above)| *to = grey(sum(*from, bytes(*above))));
            }
            Type::Sub => self.each(|left, _, _| left),
            Type::Average => self.each(|left, above, _| left.midpoint(above)),
            Type::Paeth => self.each(|left, above, corner| paeth(left, above, corner)),
        }
    }

    /// Adds what is predicted of the bytes to the left, above, and above to the left.
    #[inline(always)]
    fn each(self, predicted: impl Fn(u8, u8, u8) -> u8) {
        let (mut left, mut corner) = ([0; BYTES], [0; BYTES]);
        for ((to, from), above) in self.row.iter_mut().zip(self.filtered).zip(self.above) {
            let above = bytes(*above);
            left = sum(*from, std::array::from_fn(|at| predicted(left[at], above[at], corner[at])));
            *to = grey(left);
            corner = above;
        }
    }
}

#[inline(always)]
fn sum<const BYTES: usize>(a: [u8; BYTES], b: [u8; BYTES]) -> [u8; BYTES] {
    std::array::from_fn(|at| a[at].wrapping_add(b[at]))
}

#[inline(always)]
fn grey<const BYTES: usize>(bytes: [u8; BYTES]) -> u16 {
    bytes.into_iter().fold(0, |grey, byte| grey << 8 | u16::from(byte))
}

#[inline(always)]
fn bytes<const BYTES: usize>(grey: u16) -> [u8; BYTES] {
    std::array::from_fn(|at| (grey >> (8 * (BYTES - 1 - at))) as u8)
}

/// Of three neighbours, the one nearest to left + above - corner: the first of those that are equally near (section 9.4).
///
/// That is the corner where it lies in the middle third between the others, and else the one of them that it is further from.
#[inline(always)]
fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let (least, most) = (left.min(above), left.max(above));
    let threshold = 3 * i16::from(corner) - i16::from(above) - i16::from(left);
    if threshold <= i16::from(least) {
        most
    } else if threshold >= i16::from(most) {
        least
    } else {
        corner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_neighbour_is_the_one_that_the_standard_describes() {
        for [a, b, c] in (0..=u8::MAX)
            .flat_map(|a| (0..=u8::MAX).map(move |b| [a, b]))
            .flat_map(|[a, b]| (0..=u8::MAX).map(move |c| [a, b, c]))
        {
            let estimate = i32::from(a) + i32::from(b) - i32::from(c);
            let nearest = [a, b, c].into_iter().min_by_key(|value| (estimate - i32::from(*value)).abs());
            assert_eq!(Some(paeth(a, b, c)), nearest, "{a}, {b}, {c}");
        }
    }
}
