//! Some of an answer's body, on its way out.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::reader::Reader;

/// What is no larger than this is not looked after: HTTP/2 hands it over in one frame, and a stream has one such
/// piece at most that was not taken.
const SMALL: usize = 16 << 10;

/// A piece of an answer's body. A large one of a stream of HTTP/2 tells of how it goes out.
#[derive(Debug)]
pub struct Piece<D> {
    data: D,
    large: Option<Large>,
}

#[derive(Debug)]
struct Large(Arc<Reader>);

impl Drop for Large {
    fn drop(&mut self) {
        self.0.piece_gone();
    }
}

impl<D: Buf> Piece<D> {
    pub(super) fn new(data: D, reader: Option<&Arc<Reader>>) -> Piece<D> {
        let large = reader.filter(|_| data.remaining() > SMALL).map(|reader| {
            reader.piece_begun();
            Large(reader.clone())
        });
        Piece { data, large }
    }
}

impl<D: Buf> Buf for Piece<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
        if let Some(Large(reader)) = &self.large {
            reader.took();
        }
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.data.copy_to_bytes(length)
    }
}
