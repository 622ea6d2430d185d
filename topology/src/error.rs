//! Errors with their place and a remedy, and the reader that collects them.

use std::fmt;
use std::ops::Range;

/// Errors kept at most; the rest is counted.
const KEPT: usize = 50;
/// Characters of a source line shown at most.
const CROP: usize = 100;

/// Where in the text something stands: a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// An error on its way to the user.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Collects everything that is wrong, in whatever order it is found.
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    found: Vec<Found>,
}

/// Where in the file a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, or the part of it around the place.
    text: String,
    /// Which characters of it to underline.
    under: Range<usize>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where; nowhere when it is about the whole file.
    pub place: Option<Place>,
    /// What is wrong, with the offending text.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Everything that is wrong with a file, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    file: String,
    problems: Vec<Problem>,
    /// With those that were not kept.
    total: usize,
}

impl Errors {
    pub(crate) fn whole_file(file: &str, message: String, help: &str) -> Self {
        let problem = Problem { place: None, message, help: help.into() };
        Self { file: file.into(), problems: vec![problem], total: 1 }
    }

    /// The single problems, the first of them if there are very many.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for Errors {}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let lines = core::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, lines: lines.collect(), found: Vec::new() }
    }

    pub(crate) fn push(&mut self, found: Found) {
        self.found.push(found);
    }

    pub(crate) fn error(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Found { span, message: message.into(), help: help.into() });
    }

    /// How many errors there are so far: a part without new ones is sound.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// The line on which `span` begins, from 1.
    pub(crate) fn line(&self, span: Span) -> usize {
        line_of(&self.lines, span.start)
    }

    /// All errors in the order of the file, each once.
    pub(crate) fn finish(mut self, file: &str) -> Option<Errors> {
        self.found.sort_by_key(|f| f.span.start);
        let key = |f: &Found| (f.span.start, f.message.clone());
        // An anchor that is used twice would otherwise report its errors twice.
        self.found.dedup_by_key(|f| key(f));
        let total = self.found.len();
        let problems = self.found.into_iter().take(KEPT).map(|f| Problem {
            place: Some(Place::new(self.text, &self.lines, f.span)),
            message: f.message,
            help: f.help,
        });
        (total > 0).then(|| Errors { file: file.into(), problems: problems.collect(), total })
    }
}

impl Place {
    fn new(text: &str, lines: &[usize], span: Span) -> Self {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line = line_of(lines, start);
        let begin = lines.get(line - 1).copied().unwrap_or_default();
        let end = text[start..].find(['\n', '\r']).map_or(text.len(), |at| start + at);
        let stop = (start + span.len).min(end);
        let width = text.get(start..stop).map_or(0, |s| s.chars().count()).max(1);
        let column = 1 + text[begin..start].chars().count();
        // Of a long line, the part around the place.
        let skip = if end - begin <= CROP { 0 } else { column.saturating_sub(CROP / 2) };
        let plain = |c: char| match c {
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        let shown: String = text[begin..end].chars().skip(skip).take(CROP).map(plain).collect();
        let from = column - 1 - skip;
        Self { line, column, text: shown, under: from..(from + width).min(CROP.max(from + 1)) }
    }
}

/// The line of a byte, from 1, given where each line begins.
fn line_of(lines: &[usize], at: usize) -> usize {
    lines.partition_point(|begin| *begin <= at).max(1)
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{}:", self.file)?;
            if let Some(Place { line, column, text, under }) = &problem.place {
                write!(f, "{line}:{column}: {}", problem.message)?;
                if !text.trim().is_empty() {
                    let margin = " ".repeat(line.to_string().len());
                    let (space, mark) = (" ".repeat(under.start), "^".repeat(under.len()));
                    write!(f, "\n{line} | {}\n{margin} | {space}{mark}", text.trim_end())?;
                }
            } else {
                write!(f, " {}", problem.message)?;
            }
            write!(f, "\nhelp: {}", problem.help)?;
        }
        match self.total {
            0 | 1 => Ok(()),
            n if n <= KEPT => write!(f, "\n\n{}: {n} errors", self.file),
            n => write!(f, "\n\n{}: {n} errors, the first {KEPT} are shown", self.file),
        }
    }
}
