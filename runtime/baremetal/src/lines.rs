//! Lines out of a stream of bytes.

use alloc::string::String;
use alloc::vec::Vec;

/// Bytes that are not lines yet.
#[derive(Debug)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is surely no end of a line.
    looked: usize,
    limit: usize,
}

/// Why there is no line any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// Too long.
    #[error("a line of more than {0} bytes")]
    TooLong(usize),
    /// Not text.
    #[error("a line that is not UTF-8")]
    NotText,
}

impl Lines {
    /// No bytes yet; a line has at most `limit`.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, looked: 0, limit }
    }

    /// Where bytes that come in are appended.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.looked -= self.start;
            self.start = 0;
        }
        &mut self.bytes
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// When it is none.
    pub fn take(&mut self) -> Result<Option<String>, BadLine> {
        let found = self.bytes[self.looked..].iter().position(|byte| *byte == b'\n');
        let end = found.map_or(self.bytes.len(), |at| self.looked + at);
        self.looked = end;
        if end - self.start > self.limit {
            return Err(BadLine::TooLong(self.limit));
        }
        if found.is_none() {
            return Ok(None);
        }
        let line = self.bytes[self.start..end].to_vec();
        self.start = end + 1;
        self.looked = self.start;
        String::from_utf8(line).map(Some).map_err(|_| BadLine::NotText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(lines: &mut Lines) -> Option<String> {
        lines.take().unwrap()
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut lines = Lines::new(10);
        assert_eq!(next(&mut lines), None);
        lines.bytes().extend(b"one\ntwo\nth");
        assert_eq!(next(&mut lines).as_deref(), Some("one"));
        assert_eq!(next(&mut lines).as_deref(), Some("two"));
        assert_eq!(next(&mut lines), None);
        lines.bytes().extend(b"ree\n\nx");
        assert_eq!(next(&mut lines).as_deref(), Some("three"));
        assert_eq!(next(&mut lines).as_deref(), Some(""));
        assert_eq!(next(&mut lines), None);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let mut lines = Lines::new(4);
        lines.bytes().extend(b"1234\n12345");
        assert_eq!(next(&mut lines).as_deref(), Some("1234"));
        assert_eq!(lines.take(), Err(BadLine::TooLong(4)));
        let mut lines = Lines::new(4);
        lines.bytes().extend(b"\xff\nok\n");
        assert_eq!(lines.take(), Err(BadLine::NotText));
        assert_eq!(next(&mut lines).as_deref(), Some("ok"));
    }
}
