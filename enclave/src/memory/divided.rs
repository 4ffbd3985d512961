//! One allocator for small blocks and another for large ones: musl's own maps many small ones anew each time, which costs a twentieth of ten crops'
//! time, and one that keeps what is freed keeps large ones too, which nobody needs again: pictures and activations have pools of their own.
#![allow(unsafe_code, reason = "an allocator can be made in no other way")]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

use super::MAPPED_FROM_BYTES;

/// Which blocks are whose.
pub(super) struct Divided<Small, Large> {
    /// Of blocks under [`MAPPED_FROM_BYTES`].
    pub(super) small: Small,
    /// Of all others.
    pub(super) large: Large,
}

impl<Small: GlobalAlloc, Large: GlobalAlloc> Divided<Small, Large> {
    fn of(&self, bytes: usize) -> &dyn GlobalAlloc {
        if bytes < MAPPED_FROM_BYTES { &self.small } else { &self.large }
    }
}

// SAFETY: a block's layout, by whose size its allocator is chosen, is given back with it; both allocators keep the rules themselves.
unsafe impl<Small: GlobalAlloc, Large: GlobalAlloc> GlobalAlloc for Divided<Small, Large> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.of(layout.size()).alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.of(layout.size()).alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; it is the allocator that the block is of.
        unsafe { self.of(layout.size()).dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise; a block that changes sides is copied, as much as both have, and given back when the new one is there.
        unsafe {
            if (layout.size() < MAPPED_FROM_BYTES) == (size < MAPPED_FROM_BYTES) {
                return self.of(size).realloc(block, layout, size);
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;
    use std::sync::Mutex;

    use super::*;

    /// Knows what it has given out.
    #[derive(Default)]
    struct Counting(Mutex<Vec<(usize, Layout)>>);

    // SAFETY: the system's, and a list beside it.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promise.
            let block = unsafe { System.alloc(layout) };
            self.0.lock().unwrap().push((block.addr(), layout));
            block
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            let mut given = self.0.lock().unwrap();
            let at = given.iter().position(|given| *given == (block.addr(), layout)).expect("a block of its own");
            given.swap_remove(at);
            // SAFETY: the caller's promise.
            unsafe { System.dealloc(block, layout) }
        }
    }

    #[test]
    fn blocks_go_back_to_where_they_came_from_and_keep_what_is_in_them() {
        let divided = Divided { small: Counting::default(), large: Counting::default() };
        let given = || [&divided.small, &divided.large].map(|side| side.0.lock().unwrap().len());
        let layout = |size| Layout::from_size_align(size, 64).unwrap();
        let sizes = [1, MAPPED_FROM_BYTES - 1, MAPPED_FROM_BYTES, 3 * MAPPED_FROM_BYTES, MAPPED_FROM_BYTES, 5, 100];
        // SAFETY: each block is written within its size, and given back once, with the layout that it has.
        unsafe {
            let mut block = divided.alloc_zeroed(layout(sizes[0]));
            block.write(7);
            for pair in sizes.windows(2) {
                block = divided.realloc(block, layout(pair[0]), pair[1]);
                assert_eq!(block.addr() % 64, 0);
                assert_eq!(given(), if pair[1] < MAPPED_FROM_BYTES { [1, 0] } else { [0, 1] }, "{pair:?}");
                let kept = pair[0].min(pair[1]);
                assert_eq!(block.add(kept - 1).read(), 7, "{pair:?}");
                block.write_bytes(7, pair[1]);
            }
            divided.dealloc(block, layout(sizes[sizes.len() - 1]));
        }
        assert_eq!(given(), [0, 0]);
    }
}
