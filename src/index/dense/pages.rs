use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use memmap2::MmapMut;

/// Zeroed values on pages of their own, huge ones where the system has them: rows read in random
/// order then miss the translation of their addresses less often, and start on cache lines.
#[derive(Debug)]
pub(super) struct Pages<T> {
    map: MmapMut,
    length: usize,
    element: PhantomData<T>,
}

impl<T: Pod> Pages<T> {
    /// Returns that many zeroes.
    ///
    /// # Errors
    /// If the system gives no memory.
    pub(super) fn zeroed(length: usize) -> io::Result<Self> {
        let bytes = length.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let map = MmapMut::map_anon(bytes.max(1))?;
        #[cfg(target_os = "linux")]
        if let Err(error) = map.advise(memmap2::Advice::HugePage) {
            // Small pages do as well, only slower.
            tracing::debug!(%error, "no huge pages");
        }
        Ok(Self { map, length, element: PhantomData })
    }
}

impl<T: Pod> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.map[..self.length * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map[..self.length * size_of::<T>()])
    }
}
