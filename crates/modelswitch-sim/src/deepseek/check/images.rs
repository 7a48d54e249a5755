//! Images in a prompt: by address, inline or uploaded before.

use serde_json::Value;

use super::refusal::Refusal;

/// The images of one request, counted.
#[derive(Default)]
pub(in crate::deepseek) struct Images(usize);

/// The most images in one request.
const MOST: usize = 600;

/// The largest image that stands in the request itself.
const LARGEST: usize = 32 << 20;

impl Images {
    fn add(&mut self) -> Result<(), Refusal> {
        self.0 += 1;
        if self.0 <= MOST {
            return Ok(());
        }
        Err(Refusal::simulated(format!("too many images, at most {MOST} in one request")))
    }
}

/// An `image_url` part of a chat message.
pub(super) fn image_url(image: Option<&Value>, images: &mut Images) -> Result<(), Refusal> {
    let url = image.and_then(|image| image.get("url")).and_then(Value::as_str);
    let url = url.ok_or_else(|| Refusal::simulated("image_url must be an object with a url"))?;
    let detail = image.and_then(|image| image.get("detail")).filter(|detail| !detail.is_null());
    if detail.is_some_and(|detail| !["low", "high", "original", "auto"].iter().any(|word| detail == word)) {
        return Err(Refusal::simulated("image_url.detail must be one of low, high, original, auto"));
    }
    address(url, images)
}

/// The address of an image or the image itself as a data URL.
pub(in crate::deepseek) fn address(url: &str, images: &mut Images) -> Result<(), Refusal> {
    if url.starts_with("data:") {
        return inline(url, images);
    }
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(Refusal::simulated("an image's url must be http, https or data"));
    }
    if url.len() > 8192 {
        return Err(Refusal::simulated("an image's url must have at most 8192 characters"));
    }
    images.add()
}

/// An image as a data URL.
pub(in crate::deepseek) fn inline(url: &str, images: &mut Images) -> Result<(), Refusal> {
    let kinds = ["jpeg", "jpg", "png", "gif", "webp"];
    let coded = kinds.iter().find_map(|kind| url.strip_prefix(&format!("data:image/{kind};base64,")));
    let coded = coded
        .ok_or_else(|| Refusal::simulated("a data URL must be a JPEG, PNG, GIF or WebP image in base64"))?;
    if coded.len() / 4 * 3 > LARGEST {
        return Err(Refusal::simulated("an inline image must have at most 32 MiB"));
    }
    images.add()
}

/// A `file` part: its fields are flat, unlike OpenAI's.
pub(super) fn file(
    part: &Value,
    has_file: &dyn Fn(&str) -> bool,
    images: &mut Images,
) -> Result<(), Refusal> {
    let field = |name: &str| part.get(name).and_then(Value::as_str);
    match (field("file_id"), field("file_data")) {
        (Some(id), None) => uploaded(id, has_file, images),
        (None, Some(data)) => inline(data, images),
        (Some(_), Some(_)) => Err(Refusal::simulated("file cannot have both file_id and file_data")),
        (None, None) => Err(Refusal::simulated("file must have file_id or file_data")),
    }
}

/// An image that was uploaded before.
pub(in crate::deepseek) fn uploaded(
    id: &str,
    has_file: &dyn Fn(&str) -> bool,
    images: &mut Images,
) -> Result<(), Refusal> {
    if has_file(id) {
        return images.add();
    }
    Err(Refusal::simulated(format!("no such file: {id}")))
}
