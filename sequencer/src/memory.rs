//! What the allocator of the process is told. Whoever has `main` chooses the allocator, and says this to it.

/// `mi_option_purge_delay` of `mimalloc.h`, in milliseconds. The crate does not name it; it lies next to one that it does, in
/// versions 2.3 and 3.3 alike.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
const _: () = assert!(PURGE_DELAY + 1 == libmimalloc_sys::mi_option_use_numa_nodes);

/// Blocks take and free the same memory again and again. Left alone, the allocator gives it back to the system after a
/// second, and the system clears it before it gives it out again: a tenth of a block's time.
#[expect(unsafe_code, reason = "the allocator is written in C")]
pub fn keep_memory() {
    const MILLISECONDS: std::ffi::c_long = 10_000;
    // SAFETY: it sets a number, which may be done at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, MILLISECONDS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "the allocator is written in C")]
    fn the_option_is_the_one_with_this_default() {
        // SAFETY: it reads a number.
        let default = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // Another version may have put another option in its place.
        assert_eq!(default, 1_000);
    }
}
