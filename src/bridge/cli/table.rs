//! Tables for people, in columns as wide as what stands in them.

/// A table with this first line. What stands in the last column is not padded.
pub(super) fn table<const COLUMNS: usize>(head: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let head = head.map(str::to_owned);
    let lines = || std::iter::once(&head).chain(rows);
    let width = |column: usize| lines().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for line in lines() {
        let mut written = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let padding = width - cell.chars().count();
            written.push_str(cell);
            written.push_str(&" ".repeat(padding + 2));
        }
        text.push_str(written.trim_end());
        text.push('\n');
    }
    text
}

/// Text that somebody else has written, on one line and not longer than this many characters.
pub(super) fn short(text: &str, longest: usize) -> String {
    let one_line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    if one_line.chars().count() <= longest {
        return one_line;
    }
    let kept: String = one_line.chars().take(longest.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let rows = [["root".to_owned(), "é".to_owned()], ["a".to_owned(), String::new()]];
        assert_eq!(table(["chat", "x"], &rows), "chat  x\nroot  é\na\n");
        assert_eq!((short("one\ntwo", 9), short("much too long", 6)), ("one two".to_owned(), "much…".to_owned()));
    }
}
