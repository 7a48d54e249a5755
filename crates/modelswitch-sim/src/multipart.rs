//! Just enough of `multipart/form-data` to name what was received.

use bytes::Bytes;
use memchr::memmem;

use crate::recorded::Recorded;

/// One field of a form.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) content: Bytes,
}

impl Part {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// The fields of a form, in order; `None` if the request is no form.
pub(crate) fn parts(request: &Recorded) -> Option<Vec<Part>> {
    let kind = request.header("content-type")?;
    if !kind.starts_with("multipart/form-data") {
        return None;
    }
    let boundary = kind.split("boundary=").nth(1)?.split(';').next()?.trim().trim_matches('"');
    let mark = format!("--{boundary}");
    let body = &request.body;
    let marks: Vec<usize> = memmem::find_iter(body, mark.as_bytes()).collect();
    let sections = marks.iter().zip(marks.iter().skip(1)).filter_map(|(from, to)| {
        // Behind the mark and its line end, before the line end of the next mark.
        let (start, end) = (from + mark.len() + 2, to.checked_sub(2)?);
        (start <= end).then(|| body.slice(start..end))
    });
    Some(sections.filter_map(part).collect())
}

fn part(section: Bytes) -> Option<Part> {
    let end = memmem::find(&section, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(section.get(..end)?).into_owned();
    let disposition =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let field = |name: &str| {
        let value = disposition.split(&format!("; {name}=\"")).nth(1)?;
        Some(value.split('"').next()?.to_owned())
    };
    Some(Part { name: field("name")?, filename: field("filename"), content: section.slice(end + 4..) })
}
