//! The comments of the protos, by what they stand on.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FileDescriptor};

/// The comments of all files of a pool.
#[derive(Debug)]
pub(super) struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    /// Collects the comments; there are none if the descriptors were written without source info.
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let mut comments = HashMap::new();
        for file in pool.files() {
            let locations = file.file_descriptor_proto().source_code_info.iter();
            for location in locations.flat_map(|info| &info.location) {
                if let Some(comment) = &location.leading_comments {
                    comments.insert((file.name().to_owned(), location.path.clone()), unindented(comment));
                }
            }
        }
        Self(comments)
    }

    /// Gets the comment on the element at a path of a file; empty if there is none.
    pub(super) fn on(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        let place = (file.name().to_owned(), path.to_vec());
        self.0.get(&place).map_or("", String::as_str)
    }
}

/// Gets the first sentence of a comment, on one line and without its full stop.
pub(super) fn summary(comment: &str) -> String {
    let paragraph = comment.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let sentence = paragraph.split(". ").next().unwrap_or_default();
    sentence.trim_end_matches(['.', ':']).to_owned()
}

/// Takes away the space that stands between `//` and the text.
fn unindented(comment: &str) -> String {
    let lines: Vec<&str> =
        comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_first_sentence() {
        for (comment, expected) in [
            ("", ""),
            ("Gets the price.", "Gets the price"),
            ("Gets the price\nof one pair. Then more.", "Gets the price of one pair"),
            (
                "Streams prices: first a snapshot, then 1.5.\n\nMore.",
                "Streams prices: first a snapshot, then 1.5",
            ),
        ] {
            assert_eq!(summary(comment), expected);
        }
        assert_eq!(unindented(" One\n  two \n\n three\n"), "One\n two\n\nthree");
    }
}
