//! Some of a response's body, on its way out.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::reader::Reader;
use super::unread::Count;
use crate::body::WritePermit;

/// A piece of a response's body. Until it is written it holds the request's place, and its bytes count as unread. A piece of
/// a stream of HTTP/2 notes how it goes out.
#[derive(Debug)]
pub struct Piece<D> {
    data: D,
    watched: Option<Watched>,
    unread: Option<Count>,
    _place: Option<WritePermit>,
}

#[derive(Debug)]
struct Watched(Arc<Reader>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.piece_gone();
    }
}

impl<D: Buf> Piece<D> {
    pub(super) fn new(
        data: D,
        reader: Option<&Arc<Reader>>,
        unread: Option<Count>,
        place: Option<WritePermit>,
    ) -> Piece<D> {
        let watched = reader.filter(|_| data.has_remaining()).map(|reader| {
            reader.piece_begun();
            Watched(reader.clone())
        });
        Piece { data, watched, unread, _place: place }
    }

    fn took(&self, count: usize) {
        if let Some(Watched(reader)) = &self.watched {
            reader.took(count);
        }
        if let Some(unread) = &self.unread {
            unread.took(count);
        }
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
        self.took(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.took(length);
        self.data.copy_to_bytes(length)
    }
}
