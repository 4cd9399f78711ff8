//! Pieces of response bodies on their way to the socket.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::reader::Reader;
use super::unread::UnreadPiece;
use crate::body::WritePermit;

/// A piece of a response body. Until it is written, it holds the request's permit and its bytes
/// count as unread. On an HTTP/2 stream, the piece also records the progress of the reader.
#[derive(Debug)]
pub struct Piece<D> {
    data: D,
    reader_piece: Option<ReaderPiece>,
    unread: Option<UnreadPiece>,
    _permit: Option<WritePermit>,
}

/// Counts as one piece of the reader until it is dropped.
#[derive(Debug)]
struct ReaderPiece(Arc<Reader>);

impl Drop for ReaderPiece {
    fn drop(&mut self) {
        self.0.piece_dropped();
    }
}

impl<D: Buf> Piece<D> {
    pub(super) fn new(
        data: D,
        reader: Option<&Arc<Reader>>,
        unread: Option<UnreadPiece>,
        permit: Option<WritePermit>,
    ) -> Piece<D> {
        let reader_piece = reader.filter(|_| data.has_remaining()).map(|reader| {
            reader.piece_created();
            ReaderPiece(reader.clone())
        });
        Piece { data, reader_piece, unread, _permit: permit }
    }

    fn took(&self, count: usize) {
        // See docs/decisions/0016-a-server-serves-what-has-connected.md.
        if let Some(ReaderPiece(reader)) = &self.reader_piece {
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
