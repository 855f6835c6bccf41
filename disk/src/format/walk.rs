//! Goes from frame to frame through a segment, with a bounded buffer.

use std::{io, sync::Arc};

use super::{Expected, FRAME_HEADER_BYTES, Frame, FrameError};
use crate::files::{File, read_full};

/// Where a walk begins and ends.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) file: Arc<dyn File>,
    pub(crate) salt: u32,
    /// Where the first frame begins.
    pub(crate) from: u64,
    /// No frame reaches beyond.
    pub(crate) to: u64,
}

/// Why a walk does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is no whole and sound frame.
    #[error("the checksum at byte {offset} does not match")]
    Frame { offset: u64, error: FrameError },
}

/// Reads frames one after the other. Every checksum is verified.
#[derive(Debug)]
pub(crate) struct Walker {
    stretch: Stretch,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    at: usize,
    chunk: usize,
}

impl Walker {
    /// Reads `chunk` bytes at a time, or a frame if that is larger.
    pub(crate) fn new(stretch: Stretch, chunk: usize) -> Walker {
        Walker { stretch, buffer: Vec::new(), at: 0, chunk }
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.stretch.from
    }

    /// The next frame; `None` at the end of the stretch.
    ///
    /// # Errors
    /// No frame begins here, or it is damaged; the walker stays where it is.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, WalkError> {
        let offset = self.stretch.from;
        if offset >= self.stretch.to {
            return Ok(None);
        }
        self.have(FRAME_HEADER_BYTES)?;
        let expected = Expected { salt: self.stretch.salt, offset };
        if let Some(needed) = Frame::size_of(&self.buffer[self.at..]) {
            self.have(needed)?;
        }
        let frame = Frame::decode(&self.buffer[self.at..], expected);
        let frame = frame.map_err(|error| WalkError::Frame { offset, error })?;
        self.at += frame.size();
        self.stretch.from += frame.size() as u64;
        Ok(Some(frame))
    }

    /// Takes care that `needed` bytes are in the buffer, unless the stretch ends before.
    fn have(&mut self, needed: usize) -> io::Result<()> {
        let left = self.buffer.len() - self.at;
        let rest = self.stretch.to - self.stretch.from;
        // A length that reaches beyond the stretch is damaged: nothing is allocated for it.
        if left >= needed || needed as u64 > rest {
            return Ok(());
        }
        self.buffer.copy_within(self.at.., 0);
        self.at = 0;
        let size = rest.min(needed.max(self.chunk) as u64) as usize;
        self.buffer.resize(size, 0);
        let got = read_full(&*self.stretch.file, &mut self.buffer[left..], self.stretch.from + left as u64)?;
        self.buffer.truncate(left + got);
        Ok(())
    }
}
