//! `.env` files: variables that count where the process has none of that name. Read when somebody asks for it, by code of
//! our own: the libraries for it put other variables in place of `$NAME`, which keys may have in them, or set the
//! process's own environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use modelswitch_provider::{Error, Result};
use zeroize::Zeroizing;

use crate::mistake::shown_path;

/// A variable's value, wiped when it is dropped, and the file that it stands in.
pub(crate) type Variables = BTreeMap<String, (Zeroizing<String>, PathBuf)>;

/// A line that is no variable, and why.
type Wrong = (usize, &'static str);

/// Reads files; of a variable that stands in several, the last one counts.
///
/// # Errors
/// A file that can't be read, or a line that is no variable; never with the text of the line.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Variables> {
    let mut variables = Variables::new();
    for path in paths {
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
            let what = match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such file",
                std::io::ErrorKind::PermissionDenied => "this process may not read it",
                std::io::ErrorKind::InvalidData => "it is not UTF-8 text",
                _ => "it can't be read",
            };
            Error::config(format!("the environment file {}: {what}", shown_path(path)))
                .with_hint("name a file that can be read, or name none")
        })?;
        for (name, value) in parse(&text).map_err(|(line, what)| {
            Error::config(format!("{}:{line}: {what}", shown_path(path)))
                .with_hint("write NAME=value, and put a value with spaces, quotes or `#` into single quotes")
        })? {
            variables.insert(name, (value, path.clone()));
        }
    }
    Ok(variables)
}

/// The variables of a text; for what is none, the line and what is wrong with it.
fn parse(text: &str) -> Result<Vec<(String, Zeroizing<String>)>, Wrong> {
    let mut variables = Vec::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut line = 1;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            (rest, line) = (after, line + 1);
            continue;
        }
        let Some((name, _)) = first.split_once('=') else { return Err((line, "this is not NAME=value")) };
        let value = rest.get(name.len() + 1..).unwrap_or_default();
        let name = name.trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        {
            return Err((
                line,
                "the name of this variable has other characters than letters, digits and underscores",
            ));
        }
        let (value, after) = self::value(value).map_err(|what| (line, what))?;
        line += rest.len().checked_sub(after.len()).and_then(|read| rest.get(..read)).map_or(1, count_lines);
        variables.push((name.to_owned(), value));
        rest = after;
    }
    Ok(variables)
}

fn count_lines(text: &str) -> usize {
    text.matches('\n').count()
}

/// A value, and what comes after its line. In single quotes everything is as it stands; in double quotes a backslash
/// escapes; without quotes it ends with the line, or where a comment begins. Quotes may go over several lines.
fn value(text: &str) -> Result<(Zeroizing<String>, &str), &'static str> {
    let text = text.trim_start_matches([' ', '\t']);
    let (value, after) = match text.chars().next() {
        Some('\'') => {
            let quoted = text.get(1..).unwrap_or_default();
            let (value, after) = quoted.split_once('\'').ok_or("a single quote is not closed")?;
            (Zeroizing::new(value.to_owned()), after)
        }
        Some('"') => in_double_quotes(text.get(1..).unwrap_or_default())?,
        _ => {
            let (line, after) = text.split_once('\n').unwrap_or((text, ""));
            let comment = [" #", "\t#"].iter().filter_map(|mark| line.find(mark)).min();
            let value = if line.starts_with('#') {
                ""
            } else {
                line.get(..comment.unwrap_or(line.len())).unwrap_or(line)
            };
            return Ok((Zeroizing::new(value.trim().to_owned()), after));
        }
    };
    let (line, after) = after.split_once('\n').unwrap_or((after, ""));
    match line.trim() {
        "" => Ok((value, after)),
        comment if comment.starts_with('#') => Ok((value, after)),
        _ => Err("something stands behind the closing quote"),
    }
}

fn in_double_quotes(text: &str) -> Result<(Zeroizing<String>, &str), &'static str> {
    // As large as it may become: what grows leaves copies behind.
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Ok((value, text.get(position + 1..).unwrap_or_default())),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(other @ ('"' | '\\' | '$' | '\'')) => value.push(other),
                Some(_) => return Err("a backslash stands before a character that it can't escape"),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err("a double quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_write_a_value_is_understood() {
        let text = "\u{feff}# a comment\n\nA=plain value # comment\nexport B = 'as $it \\n stands # here'  # x\r\nC=\"a\\n\\\"b\\\" $D\"\nD=\nE=a#b\nF='two\nlines'\nG=$A${B}\nH=#x\nI=last";
        let expected = [
            ("A", "plain value"),
            ("B", "as $it \\n stands # here"),
            ("C", "a\n\"b\" $D"),
            ("D", ""),
            ("E", "a#b"),
            ("F", "two\nlines"),
            ("G", "$A${B}"),
            ("H", ""),
            ("I", "last"),
        ];
        let found = parse(text).unwrap();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_variable_is_told_with_its_line() {
        for (text, line) in [
            ("A=1\ncanary", 2),
            ("\n\nA B=canary", 3),
            ("A='x\ny'\nB='canary", 3),
            ("A=\"canary", 1),
            ("A='canary' more", 1),
            ("A=\"\\q\"", 1),
            ("=canary", 1),
        ] {
            let (found, what) = parse(text).unwrap_err();
            assert_eq!(found, line, "{text:?}: {what}");
        }
    }
}
