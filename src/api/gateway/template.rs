//! Path templates of `google.api.http`: reading them, and holding request paths against them.
//!
//! Pure: text in, text out. The grammar and the decoding rules are those of the comments in googleapis'
//! `google/api/http.proto`:
//!
//! ```text
//! Template  = "/" [ Segments ] [ ":" Verb ]
//! Segments  = Segment { "/" Segment }
//! Segment   = "*" | "**" | LITERAL | "{" FieldPath [ "=" Segments ] "}"
//! ```
//!
//! `*` is one segment, never an empty one; `**` is any number of them, and only literals may follow it.

use std::{borrow::Cow, cmp::Ordering, fmt, ops::Range, str::FromStr};

use super::percent::{self, Malformed};

/// What is done with a colon in the last segment of a path when no template knows what follows as its verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownVerb {
    /// No call has such a path. A colon that belongs to a value is written `%3A`.
    #[default]
    NotFound,
    /// The colon and what follows belong to the value.
    PartOfValue,
}

/// A path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
    /// What every path of it starts with, unless it is percent-encoded: its first literals.
    start: String,
}

/// One segment of a template, with the braces of variables taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// `*`: any one segment.
    Single,
    /// `**`: any segments, or none.
    Deep,
}

/// A field of the request that takes its value from segments of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The path of the field, such as `pair` or `price.pair`.
    pub field: String,
    /// The template's segments that make up the value.
    pub segments: Range<usize>,
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The first character is something else.
    #[error("a template starts with `/`")]
    NoSlash,
    /// A segment is empty or has characters that mean something else.
    #[error("`{0}` is not a segment")]
    Segment(String),
    /// A variable lacks its closing brace, or something stands between it and the next slash.
    #[error("`{0}` does not follow a whole segment")]
    Trailing(String),
    /// A variable is not a path of field names.
    #[error("`{0}` is not the path of a field")]
    Field(String),
    /// Two variables set the same field.
    #[error("`{0}` is set twice")]
    Twice(String),
    /// The verb is empty or has characters that mean something else.
    #[error("`{0}` is not a verb")]
    Verb(String),
    /// A wildcard comes after `**`.
    #[error("only literals may follow `**`")]
    AfterDeep,
}

impl Template {
    /// Gets the segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Gets the variables, in order.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Gets the verb, without its colon.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// Tells whether a request path, still percent-encoded, is one of this template's.
    pub fn matches(&self, path: &str, unknown_verb: UnknownVerb) -> bool {
        // Most templates are told from a path by their first literals.
        if !path.starts_with(&self.start) && !path.contains('%') {
            return false;
        }
        let Some(path) = self.without_verb(path, unknown_verb) else {
            return false;
        };
        let mut parts = parts(path);
        let mut segments = self.segments.iter();
        for segment in segments.by_ref() {
            if *segment == Segment::Deep {
                // What the literals at the end leave over is the wildcard's.
                return segments
                    .rev()
                    .all(|segment| parts.next_back().is_some_and(|part| segment.matches(part)));
            }
            if !parts.next().is_some_and(|part| segment.matches(part)) {
                return false;
            }
        }
        parts.next().is_none()
    }

    /// Gets the decoded value of each variable from a path that this template matches.
    ///
    /// A value of one segment is decoded whole. In a value of several, reserved characters stay encoded, so that a
    /// `%2F` can be told from a slash.
    pub fn values<'p>(&self, path: &'p str) -> Result<Vec<Cow<'p, str>>, Malformed> {
        let path = self.without_verb(path, UnknownVerb::PartOfValue).unwrap_or(path);
        let deep = self.segments.iter().position(|segment| *segment == Segment::Deep);
        let Some(deep) = deep else {
            let value = |variable: &Variable| self.value(variable, variable.segments.clone(), parts(path));
            return self.variables.iter().map(value).collect();
        };
        // Past `**`, segments are counted from the end.
        let count = parts(path).count();
        let place = |index: usize| match index {
            index if index > deep => (count + index).saturating_sub(self.segments.len()),
            index => index,
        };
        let place = |segments: &Range<usize>| place(segments.start)..place(segments.end);
        let value = |variable: &Variable| self.value(variable, place(&variable.segments), parts(path));
        self.variables.iter().map(value).collect()
    }

    /// Gets the value of a variable from the parts that it spans.
    fn value<'p>(
        &self,
        variable: &Variable,
        span: Range<usize>,
        parts: impl Iterator<Item = &'p str>,
    ) -> Result<Cow<'p, str>, Malformed> {
        let mut parts = parts.skip(span.start).take(span.len());
        let segments = self.segments.get(variable.segments.clone());
        if let Some([Segment::Literal(_) | Segment::Single]) = segments {
            return percent::decode(parts.next().unwrap_or_default());
        }
        let joined = parts.collect::<Vec<_>>().join("/");
        percent::decode_unreserved(&joined).map(|value| Cow::Owned(value.into_owned()))
    }

    /// Compares by how exact templates are: of two that match a path, the lesser is meant.
    ///
    /// A verb comes before none; then, segment by segment, a literal before `*` before `**`; then the longer.
    pub fn by_precedence(&self, other: &Self) -> Ordering {
        let rank = |template: &Self| -> Vec<u8> {
            let ranks = template.segments.iter().map(|segment| match segment {
                Segment::Literal(_) => 0,
                Segment::Single => 1,
                Segment::Deep => 2,
            });
            // An end comes after all else, so that the longer goes first.
            ranks.chain([3]).collect()
        };
        let no_verb = |template: &Self| template.verb.is_none();
        no_verb(self).cmp(&no_verb(other)).then_with(|| rank(self).cmp(&rank(other)))
    }

    /// Tells whether both match the very same paths.
    pub fn same_paths(&self, other: &Self) -> bool {
        self.segments == other.segments && self.verb == other.verb
    }

    fn without_verb<'p>(&self, path: &'p str, unknown_verb: UnknownVerb) -> Option<&'p str> {
        match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':'),
            None if unknown_verb == UnknownVerb::PartOfValue => Some(path),
            None => {
                let last = path.rsplit('/').next().unwrap_or(path);
                (!last.contains(':')).then_some(path)
            }
        }
    }
}

impl Segment {
    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Literal(literal) => {
                part == literal
                    || part.contains('%') && percent::decode(part).is_ok_and(|part| part == literal.as_str())
            }
            Self::Single => !part.is_empty(),
            Self::Deep => true,
        }
    }
}

/// Splits a path into its segments; `/` has none, and what does not start with a slash has one that nothing matches.
fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    let parts = match path.strip_prefix('/') {
        Some("") => None,
        Some(rest) => Some(rest.split('/')),
        None => Some("".split('/')),
    };
    parts.into_iter().flatten()
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut rest = text.strip_prefix('/').ok_or(TemplateError::NoSlash)?;
        let mut template =
            Self { segments: Vec::new(), variables: Vec::new(), verb: None, start: String::new() };
        if rest.is_empty() {
            return Ok(template);
        }
        loop {
            rest = template.read_segment(rest)?;
            if let Some(next) = rest.strip_prefix('/') {
                rest = next;
            } else if let Some(verb) = rest.strip_prefix(':') {
                template.verb = Some(read_verb(verb)?);
                break;
            } else if rest.is_empty() {
                break;
            } else {
                return Err(TemplateError::Trailing(rest.to_owned()));
            }
        }
        for segment in &template.segments {
            let Segment::Literal(literal) = segment else { break };
            template.start.push('/');
            template.start.push_str(literal);
        }
        let mut after = template.segments.iter().skip_while(|segment| **segment != Segment::Deep);
        after.next();
        if after.all(|segment| matches!(segment, Segment::Literal(_))) {
            Ok(template)
        } else {
            Err(TemplateError::AfterDeep)
        }
    }
}

impl Template {
    /// Reads a segment or a variable, and gives what comes after it.
    fn read_segment<'t>(&mut self, text: &'t str) -> Result<&'t str, TemplateError> {
        let Some(variable) = text.strip_prefix('{') else {
            let end = text.find(['/', ':']).unwrap_or(text.len());
            let (segment, rest) = text.split_at(end);
            self.segments.push(segment.parse()?);
            return Ok(rest);
        };
        let (variable, rest) =
            variable.split_once('}').ok_or_else(|| TemplateError::Trailing(text.to_owned()))?;
        let (field, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        if !field.split('.').all(is_identifier) {
            return Err(TemplateError::Field(field.to_owned()));
        }
        if self.variables.iter().any(|variable| variable.field == field) {
            return Err(TemplateError::Twice(field.to_owned()));
        }
        let start = self.segments.len();
        for segment in pattern.split('/') {
            self.segments.push(segment.parse()?);
        }
        self.variables.push(Variable { field: field.to_owned(), segments: start..self.segments.len() });
        Ok(rest)
    }
}

impl FromStr for Segment {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        match text {
            "*" => Ok(Self::Single),
            "**" => Ok(Self::Deep),
            _ if is_literal(text) && !text.contains(':') => Ok(Self::Literal(text.to_owned())),
            _ => Err(TemplateError::Segment(text.to_owned())),
        }
    }
}

fn read_verb(text: &str) -> Result<String, TemplateError> {
    if is_literal(text) { Ok(text.to_owned()) } else { Err(TemplateError::Verb(text.to_owned())) }
}

fn is_literal(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| "/{}*?#%".contains(c) || c.is_whitespace() || c.is_control())
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for Template {
    /// Writes the template in full, so that equal templates read the same: `{pair}` is `{pair=*}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            f.write_str("/")?;
        }
        for (index, segment) in self.segments.iter().enumerate() {
            f.write_str("/")?;
            if let Some(variable) = self.variables.iter().find(|v| v.segments.start == index) {
                write!(f, "{{{}=", variable.field)?;
            }
            write!(f, "{segment}")?;
            if self.variables.iter().any(|v| v.segments.end == index + 1) {
                f.write_str("}")?;
            }
        }
        self.verb.iter().try_for_each(|verb| write!(f, ":{verb}"))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal(text) => text,
            Self::Single => "*",
            Self::Deep => "**",
        })
    }
}

#[cfg(test)]
mod tests;
