//! DeepSeek's Files: images and documents that a chat refers to by id.
//! From <https://api-docs.deepseek.com/guides/files_api> and <https://api-docs.deepseek.com/guides/document_parsing>, read on
//! 2026-11-21.

use std::fmt;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method};
use memchr::memmem;
use modelswitch_provider::{
    Adaptation, Body, Endpoint, Error, ErrorKind, Payload, Provider, Request, Response, Result,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::DeepSeek;
use crate::answer;

const PATH: &str = "/files";
/// The documents say 64 MiB for an image, DeepSeek's own client says 128, and a document may have 100: what both refuse is
/// refused here, and the rest is for DeepSeek to say.
const LONGEST_FILE: usize = 128 << 20;
const SHORTEST_LIFE: Duration = Duration::from_secs(3_600);
const LONGEST_LIFE: Duration = Duration::from_secs(2_592_000);
const LONGEST_LIST: u32 = 1_000;

impl DeepSeek {
    /// The files of the key.
    ///
    /// ```no_run
    /// use modelswitch_deepseek::{DeepSeek, FileUpload};
    /// use modelswitch_provider::{ChatRequest, Content, Message, ProviderExt};
    /// use serde_json::json;
    ///
    /// # async fn run(picture: Vec<u8>) -> modelswitch_provider::Result<()> {
    /// let deepseek = DeepSeek::from_env()?;
    /// let file = deepseek.files().upload(FileUpload::new("cat.png", picture)).await?;
    /// let mut question = Message::user("");
    /// question.content = Some(Content::Parts(vec![json!({ "type": "text", "text": "What is this?" }), file.part()]));
    /// let reply = deepseek.chat(ChatRequest::new(vec![question])).await?;
    /// deepseek.files().delete(&file.id).await?;
    /// # Ok(()) }
    /// ```
    pub fn files(&self) -> Files<'_> {
        Files { deepseek: self }
    }
}

/// The files of a key, from [`DeepSeek::files`]. They belong to the key that uploaded them.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    deepseek: &'a DeepSeek,
}

impl Files<'_> {
    /// Uploads a file. A document is parsed before the answer comes, without a byte meanwhile; that costs, see
    /// <https://api-docs.deepseek.com/guides/document_parsing>. It is one try: whoever tries again may have the file twice.
    ///
    /// ```no_run
    /// # async fn run(deepseek: modelswitch_deepseek::DeepSeek, bill: Vec<u8>) -> modelswitch_provider::Result<()> {
    /// use std::time::Duration;
    /// use modelswitch_deepseek::{FilePurpose, FileUpload};
    ///
    /// let upload = FileUpload::new("bill.pdf", bill)
    ///     .purpose(FilePurpose::TextRecognition)
    ///     .expires_after(Duration::from_secs(86_400));
    /// println!("{}", deepseek.files().upload(upload).await?.id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Provider::send), and as [`FileUpload::into_request`].
    pub async fn upload(&self, upload: FileUpload) -> Result<FileObject> {
        answer::typed(self.deepseek.send(upload.into_request()?).await?, "the file").await
    }

    /// Lists files, a page at a time.
    ///
    /// ```no_run
    /// # async fn run(deepseek: modelswitch_deepseek::DeepSeek) -> modelswitch_provider::Result<()> {
    /// use modelswitch_deepseek::FileQuery;
    ///
    /// let mut query = FileQuery::new();
    /// loop {
    ///     let page = deepseek.files().list(query).await?;
    ///     page.data.iter().for_each(|file| println!("{}", file.id));
    ///     let Some(last) = page.next() else { break };
    ///     query = FileQuery::new().after(last);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Provider::send), and as [`FileQuery::into_request`].
    pub async fn list(&self, query: FileQuery) -> Result<FileList> {
        answer::typed(self.deepseek.send(query.into_request()?).await?, "the list of files").await
    }

    /// What is known of a file.
    ///
    /// ```no_run
    /// # async fn run(deepseek: modelswitch_deepseek::DeepSeek) -> modelswitch_provider::Result<()> {
    /// println!("{:?}", deepseek.files().retrieve("file-api-0123").await?.expires_at);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Provider::send), and [`InvalidRequest`](ErrorKind::InvalidRequest) for what can't be an id.
    pub async fn retrieve(&self, id: &str) -> Result<FileObject> {
        answer::typed(self.deepseek.send(of_file(Method::GET, id)?).await?, "the file").await
    }

    /// Deletes a file. `Ok` means that it is gone.
    ///
    /// ```no_run
    /// # async fn run(deepseek: modelswitch_deepseek::DeepSeek) -> modelswitch_provider::Result<()> {
    /// deepseek.files().delete("file-api-0123").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`retrieve`](Self::retrieve).
    pub async fn delete(&self, id: &str) -> Result<()> {
        #[derive(Deserialize)]
        struct Deleted {
            #[serde(default)]
            deleted: Option<bool>,
        }
        let response = self.deepseek.send(of_file(Method::DELETE, id)?).await?;
        let head = response.head.clone();
        match answer::typed::<Deleted>(response, "the answer about the deleted file").await?.deleted {
            Some(true) | None => Ok(()),
            Some(false) => {
                let error = Error::new(ErrorKind::Upstream, "the file was not deleted");
                Err(head.blame(error).with_status(head.status))
            }
        }
    }
}

/// A file to be uploaded.
///
/// ```
/// use std::time::Duration;
/// use modelswitch_deepseek::{FilePurpose, FileUpload};
///
/// let upload = FileUpload::new("table.pdf", b"%PDF-1.7".to_vec())
///     .purpose(FilePurpose::RichLayoutRecognition)
///     .expires_after(Duration::from_secs(3_600));
/// let request = upload.into_request()?;                   // for any provider, with layers around it too
/// assert_eq!(request.endpoint.path(), "/files");
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone)]
pub struct FileUpload {
    name: String,
    content: Bytes,
    content_type: HeaderValue,
    purpose: FilePurpose,
    expires_after: Option<Duration>,
}

impl FileUpload {
    /// A file with a name: an image that chats will show the model, until [`purpose`](Self::purpose) says otherwise.
    pub fn new(name: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            content: content.into(),
            content_type: HeaderValue::from_static("application/octet-stream"),
            purpose: FilePurpose::UserData,
            expires_after: None,
        }
    }

    /// What it is for.
    pub fn purpose(mut self, purpose: FilePurpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// What it is, such as `image/png`. Without it DeepSeek looks for itself.
    pub fn content_type(mut self, content_type: HeaderValue) -> Self {
        self.content_type = content_type;
        self
    }

    /// Lets it be forgotten so long after the upload: an hour to thirty days, in whole seconds.
    pub fn expires_after(mut self, life: Duration) -> Self {
        self.expires_after = Some(life);
        self
    }

    /// The request for a provider: a form with `purpose` before `file`, as DeepSeek wants it for documents.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for a life outside an hour to thirty days, and a file larger than
    /// DeepSeek takes by anybody's account.
    pub fn into_request(self) -> Result<Request> {
        if self.content.len() > LONGEST_FILE {
            return Err(Error::invalid_request(format!(
                "the file has {} MiB, and DeepSeek takes at most {} MiB",
                self.content.len() >> 20,
                LONGEST_FILE >> 20
            ))
            .with_param("file")
            .with_hint("make the file smaller; images may have 64 MiB, documents 100 MiB, texts 32 MiB"));
        }
        let mut form = Form::new(&self.content, self.purpose.as_str());
        form.text("purpose", self.purpose.as_str());
        if let Some(life) = self.expires_after {
            form.text("expires_after[anchor]", "created_at");
            form.text("expires_after[seconds]", &checked_life(life)?.as_secs().to_string());
        }
        form.file("file", &self.name, &self.content_type, &self.content);
        Ok(Request::new(Endpoint::new(Method::POST, PATH)?, form.finish()?))
    }
}

/// What it is and its size; neither name nor content, which are a user's.
impl fmt::Debug for FileUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileUpload")
            .field("content", &format_args!("{} B", self.content.len()))
            .field("content_type", &self.content_type)
            .field("purpose", &self.purpose)
            .field("expires_after", &self.expires_after)
            .finish_non_exhaustive()
    }
}

fn checked_life(life: Duration) -> Result<Duration> {
    if (SHORTEST_LIFE..=LONGEST_LIFE).contains(&life) {
        return Ok(life);
    }
    Err(Error::invalid_request(format!(
        "a file can't expire after {} s: it is {} s (an hour) to {} s (thirty days)",
        life.as_secs(),
        SHORTEST_LIFE.as_secs(),
        LONGEST_LIFE.as_secs()
    ))
    .with_param("expires_after")
    .with_hint(
        "set expires_after to something from an hour to thirty days, or leave it out to keep the file",
    ))
}

/// What a file is for.
///
/// ```
/// use modelswitch_deepseek::{FilePurpose, FileUpload};
///
/// let scan = FileUpload::new("scan.pdf", Vec::new()).purpose(FilePurpose::TextRecognition);
/// assert_eq!(FilePurpose::TextRecognition.as_str(), "text_recognition");
/// # let _ = scan;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum FilePurpose {
    /// An image for chats: JPEG, PNG, GIF or WebP.
    UserData,
    /// A document whose text is to be read.
    TextRecognition,
    /// A document whose text, tables and layout are to be read.
    RichLayoutRecognition,
    /// Something that has no name here, as it is.
    Other(String),
}

impl FilePurpose {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::UserData => "user_data",
            Self::TextRecognition => "text_recognition",
            Self::RichLayoutRecognition => "rich_layout_recognition",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for FilePurpose {
    fn from(word: String) -> Self {
        match word.as_str() {
            "user_data" => Self::UserData,
            "text_recognition" => Self::TextRecognition,
            "rich_layout_recognition" => Self::RichLayoutRecognition,
            _ => Self::Other(word),
        }
    }
}

impl From<FilePurpose> for String {
    fn from(purpose: FilePurpose) -> Self {
        match purpose {
            FilePurpose::Other(word) => word,
            named => named.as_str().to_owned(),
        }
    }
}

/// What DeepSeek knows of a file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "WireFile")]
#[non_exhaustive]
pub struct FileObject {
    /// The id, by which chats refer to it.
    pub id: String,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it was uploaded, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<u64>,
    /// When it will be forgotten, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The name that it was uploaded with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<FilePurpose>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl FileObject {
    /// The part of a message that shows the file to the model. DeepSeek takes `file_id` beside `type`, not inside `file` as
    /// OpenAI does.
    ///
    /// ```
    /// use modelswitch_deepseek::FileObject;
    /// use serde_json::json;
    ///
    /// let file: FileObject = serde_json::from_value(json!({ "id": "file-api-1", "purpose": "user_data" }))?;
    /// assert_eq!(file.part(), json!({ "type": "file", "file_id": "file-api-1" }));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn part(&self) -> Value {
        json!({ "type": "file", "file_id": self.id })
    }
}

/// Without the name, which is a user's.
impl fmt::Debug for FileObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileObject")
            .field("id", &self.id)
            .field("bytes", &self.bytes)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

/// A file as it stands in an answer, the purpose perhaps set aside for door 1.
#[derive(Deserialize)]
struct WireFile {
    id: String,
    #[serde(default)]
    bytes: Option<u64>,
    #[serde(default)]
    created_at: Option<u64>,
    #[serde(default)]
    expires_at: Option<u64>,
    #[serde(default)]
    filename: Option<String>,
    #[serde(default)]
    purpose: Option<FilePurpose>,
    #[serde(default)]
    native_purpose: Option<FilePurpose>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl From<WireFile> for FileObject {
    fn from(wire: WireFile) -> Self {
        let WireFile { id, bytes, created_at, expires_at, filename, purpose, native_purpose, extra } = wire;
        Self { id, bytes, created_at, expires_at, filename, purpose: native_purpose.or(purpose), extra }
    }
}

/// A page of files.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileList {
    /// The files.
    #[serde(default)]
    pub data: Vec<FileObject>,
    /// The id of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_id: Option<String>,
    /// The id of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_id: Option<String>,
    /// Whether there are more.
    #[serde(default)]
    pub has_more: bool,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl FileList {
    /// The id after which the next page begins; `None` on the last one.
    ///
    /// ```
    /// use modelswitch_deepseek::FileList;
    /// use serde_json::json;
    ///
    /// let page: FileList = serde_json::from_value(json!({ "data": [{ "id": "file-api-1" }], "has_more": true }))?;
    /// assert_eq!(page.next(), Some("file-api-1"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn next(&self) -> Option<&str> {
        let last = || self.data.last().map(|file| file.id.as_str());
        self.last_id.as_deref().or_else(last).filter(|_| self.has_more)
    }
}

/// Without the names.
impl fmt::Debug for FileList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileList")
            .field("data", &self.data)
            .field("has_more", &self.has_more)
            .finish_non_exhaustive()
    }
}

/// Which files to list.
///
/// ```
/// use modelswitch_deepseek::{FilePurpose, FileQuery};
///
/// let query = FileQuery::new().purpose(FilePurpose::UserData).limit(20).oldest_first();
/// assert_eq!(query.into_request()?.endpoint.query(), Some("limit=20&order=asc&purpose=user_data"));
/// # Ok::<(), modelswitch_provider::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileQuery {
    after: Option<String>,
    limit: Option<u32>,
    order: Option<&'static str>,
    purpose: Option<FilePurpose>,
}

impl FileQuery {
    /// All files, in the order and in pages of the length that DeepSeek chooses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins behind the file with this id.
    pub fn after(mut self, id: impl Into<String>) -> Self {
        self.after = Some(id.into());
        self
    }

    /// At most so many: 1 to 1000.
    pub fn limit(mut self, files: u32) -> Self {
        self.limit = Some(files);
        self
    }

    /// The oldest first.
    pub fn oldest_first(mut self) -> Self {
        self.order = Some("asc");
        self
    }

    /// The newest first.
    pub fn newest_first(mut self) -> Self {
        self.order = Some("desc");
        self
    }

    /// Only those for this purpose.
    pub fn purpose(mut self, purpose: FilePurpose) -> Self {
        self.purpose = Some(purpose);
        self
    }

    /// The request for a provider.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for a limit outside 1 to 1000, and for what can't be an id.
    pub fn into_request(self) -> Result<Request> {
        if let Some(limit) = self.limit
            && !(1..=LONGEST_LIST).contains(&limit)
        {
            return Err(Error::invalid_request(format!(
                "a page can't have {limit} files: it has 1 to {LONGEST_LIST}"
            ))
            .with_param("limit"));
        }
        if let Some(id) = &self.after {
            check_id(id)?;
        }
        let pairs = [
            ("after", self.after),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("order", self.order.map(str::to_owned)),
            ("purpose", self.purpose.map(|purpose| escaped(purpose.as_str()))),
        ];
        let pairs: Vec<String> =
            pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
        let path = if pairs.is_empty() { PATH.to_owned() } else { format!("{PATH}?{}", pairs.join("&")) };
        Ok(Request::new(Endpoint::new(Method::GET, path)?, Payload::Empty))
    }
}

fn of_file(method: Method, id: &str) -> Result<Request> {
    check_id(id)?;
    Ok(Request::new(Endpoint::new(method, format!("{PATH}/{id}"))?, Payload::Empty))
}

/// An id becomes a part of a path, which it must not leave.
fn check_id(id: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !id.is_empty() && id.chars().all(fits) {
        return Ok(());
    }
    Err(Error::invalid_request(
        "the id of a file has letters, digits, `-` and `_` alone, such as file-api-0123",
    )
    .with_hint("give the id that the upload answered with"))
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A `multipart/form-data` body. It is written here and not with reqwest's, whose forms are streams: a request is kept as
/// bytes, so that a layer can send it again.
struct Form {
    boundary: String,
    body: BytesMut,
}

impl Form {
    /// A form whose boundary is neither in the content nor in the purpose. The rest of what goes into it is on lines of ours,
    /// where no boundary can begin.
    fn new(content: &[u8], purpose: &str) -> Self {
        let boundary = boundary_beside([content, purpose.as_bytes()]);
        Self { boundary, body: BytesMut::with_capacity(content.len() + 1_024) }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.head(&format!("name=\"{name}\""), None);
        self.body.put_slice(one_line(value).as_bytes());
        self.body.put_slice(b"\r\n");
    }

    fn file(&mut self, name: &str, filename: &str, content_type: &HeaderValue, content: &[u8]) {
        self.head(&format!("name=\"{name}\"; filename=\"{}\"", one_line(filename)), Some(content_type));
        self.body.put_slice(content);
        self.body.put_slice(b"\r\n");
    }

    fn head(&mut self, disposition: &str, content_type: Option<&HeaderValue>) {
        self.body.put_slice(
            format!("--{}\r\nContent-Disposition: form-data; {disposition}\r\n", self.boundary).as_bytes(),
        );
        if let Some(content_type) = content_type {
            self.body.put_slice(b"Content-Type: ");
            self.body.put_slice(content_type.as_bytes());
            self.body.put_slice(b"\r\n");
        }
        self.body.put_slice(b"\r\n");
    }

    fn finish(mut self) -> Result<Payload> {
        self.body.put_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={}", self.boundary))
            .map_err(|_| Error::invalid_request("the form can't be written"))?;
        Ok(Payload::Raw { content_type, bytes: self.body.freeze() })
    }
}

/// The first of a row of boundaries that isn't in these texts. There is always one: they hold fewer of them than there are
/// numbers.
fn boundary_beside(texts: [&[u8]; 2]) -> String {
    let mut number = 0_u64;
    loop {
        let boundary = format!("modelswitch-form-{number:016x}");
        if texts.iter().all(|text| memmem::find(text, boundary.as_bytes()).is_none()) {
            return boundary;
        }
        number += 1;
    }
}

/// A value inside a form's head, in the way that browsers write it.
fn one_line(text: &str) -> String {
    text.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}

/// Puts an upload of others as DeepSeek takes it: async-openai writes `file` before `purpose`, and DeepSeek wants to know
/// what to do with a document before it comes.
pub(crate) fn adapt(request: &mut Request) -> Vec<Adaptation> {
    if request.endpoint.method() != Method::POST || request.endpoint.path() != PATH {
        return Vec::new();
    }
    let Payload::Raw { content_type, bytes } = &mut request.body else { return Vec::new() };
    let Some(ordered) = file_last(content_type, bytes) else { return Vec::new() };
    *bytes = ordered;
    vec![Adaptation::new("purpose", "put before `file`, where DeepSeek looks for it")]
}

/// The form with its file behind everything else; `None` when it stands there already, or when it isn't such a form.
fn file_last(content_type: &HeaderValue, body: &Bytes) -> Option<Bytes> {
    let boundary =
        content_type.to_str().ok()?.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    let mark = format!("--{}", boundary.trim_matches('"'));
    let inner = format!("\r\n{mark}");
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut rest = body.strip_prefix(mark.as_bytes())?;
    while let Some(end) = memmem::find(rest, inner.as_bytes()) {
        parts.push(rest.get(..end)?);
        rest = rest.get(end + inner.len()..)?;
    }
    if !rest.starts_with(b"--") {
        return None;
    }
    let is_file = |part: &&[u8]| {
        let head = memmem::find(part, b"\r\n\r\n").and_then(|end| part.get(..end)).unwrap_or_default();
        let pieces = head.split(|byte| matches!(byte, b';' | b'\r' | b'\n'));
        pieces.map(<[u8]>::trim_ascii).any(|piece| piece == b"name=\"file\"")
    };
    let place = parts.iter().position(is_file)?;
    if place + 1 == parts.len() {
        return None;
    }
    let file = parts.remove(place);
    parts.push(file);
    let mut ordered = BytesMut::with_capacity(body.len());
    for (number, part) in parts.into_iter().enumerate() {
        ordered.put_slice(if number == 0 { mark.as_bytes() } else { inner.as_bytes() });
        ordered.put_slice(part);
    }
    ordered.put_slice(inner.as_bytes());
    ordered.put_slice(rest);
    Some(ordered.freeze())
}

/// Puts the answers of the Files endpoints as async-openai decodes them: a purpose that it has no name for is kept beside the
/// field, and one that it knows stands in it. [`FileObject`] reads either.
pub(crate) fn outward(endpoint: &Endpoint, response: Response) -> Response {
    let is_files = endpoint.path() == PATH || endpoint.path().starts_with("/files/");
    let Response { head, body } = response;
    let body = match body {
        Body::Json(json) if is_files => Body::Json(with_known_purposes(json)),
        other => other,
    };
    Response { head, body }
}

fn with_known_purposes(json: Bytes) -> Bytes {
    // Nothing else that DeepSeek documents is unknown to async-openai.
    if memmem::find(&json, b"_recognition").is_none() {
        return json;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&json) else { return json };
    set_aside_purpose(&mut value);
    if let Some(files) = value.get_mut("data").and_then(Value::as_array_mut) {
        files.iter_mut().for_each(set_aside_purpose);
    }
    value.to_string().into()
}

fn set_aside_purpose(file: &mut Value) {
    let Some(file) = file.as_object_mut() else { return };
    let is_unknown =
        file.get("purpose").and_then(Value::as_str).is_some_and(|word| word.ends_with("_recognition"));
    if is_unknown && let Some(own) = file.insert("purpose".to_owned(), FilePurpose::UserData.as_str().into())
    {
        file.insert("native_purpose".to_owned(), own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(upload: FileUpload) -> String {
        match upload.into_request().unwrap().body {
            Payload::Raw { bytes, .. } => String::from_utf8_lossy(&bytes).into_owned(),
            other => panic!("a form: {other:?}"),
        }
    }

    #[test]
    fn the_purpose_stands_before_the_file() {
        let text = text_of(
            FileUpload::new("a\"b\r\nc.pdf", "hello")
                .purpose(FilePurpose::TextRecognition)
                .content_type(HeaderValue::from_static("application/pdf"))
                .expires_after(Duration::from_secs(3_600)),
        );
        let mark = "--modelswitch-form-0000000000000000";
        assert_eq!(
            text,
            format!(
                "{mark}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ntext_recognition\r\n\
                 {mark}\r\nContent-Disposition: form-data; name=\"expires_after[anchor]\"\r\n\r\ncreated_at\r\n\
                 {mark}\r\nContent-Disposition: form-data; name=\"expires_after[seconds]\"\r\n\r\n3600\r\n\
                 {mark}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22b%0D%0Ac.pdf\"\r\n\
                 Content-Type: application/pdf\r\n\r\nhello\r\n{mark}--\r\n"
            )
        );
    }

    #[test]
    fn neither_content_nor_purpose_can_hold_the_boundary() {
        let first = boundary_beside([b"", b""]);
        let second = boundary_beside([first.as_bytes(), b""]);
        assert_ne!(first, second);
        assert_ne!(boundary_beside([second.as_bytes(), first.as_bytes()]), second);
        let both = format!("\r\n--{first}--\r\n{second}");
        assert_eq!(text_of(FileUpload::new("x", both)).matches("Content-Disposition").count(), 2);
    }

    #[test]
    fn a_life_is_an_hour_to_thirty_days() {
        let life =
            |seconds| FileUpload::new("x", "y").expires_after(Duration::from_secs(seconds)).into_request();
        for seconds in [3_600, 2_592_000] {
            assert!(life(seconds).is_ok());
        }
        for seconds in [0, 3_599, 2_592_001] {
            let error = life(seconds).unwrap_err();
            assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("expires_after")));
        }
    }

    #[test]
    fn only_a_size_that_nobody_claims_is_refused_here() {
        let size = |size: usize| FileUpload::new("x", vec![0; size]).into_request();
        assert!(size(100 << 20).is_ok());
        assert_eq!(size((128 << 20) + 1).unwrap_err().param(), Some("file"));
    }

    #[test]
    fn an_id_cannot_leave_the_path() {
        for id in ["", "..", "a/b", "a?b", "a#b", "%2e%2e", "a b", "a\nb", "ü"] {
            assert_eq!(of_file(Method::GET, id).unwrap_err().kind(), ErrorKind::InvalidRequest, "{id:?}");
            assert!(FileQuery::new().after(id).into_request().is_err());
        }
        let request = of_file(Method::DELETE, "file-api-0_1").unwrap();
        assert_eq!(request.endpoint.path(), "/files/file-api-0_1");
    }

    #[test]
    fn a_query_is_checked_and_escaped() {
        for limit in [0, 1_001] {
            assert!(FileQuery::new().limit(limit).into_request().is_err());
        }
        let purpose = FilePurpose::from("a&b=c d".to_owned());
        let request = FileQuery::new().after("f").newest_first().purpose(purpose).into_request().unwrap();
        assert_eq!(request.endpoint.query(), Some("after=f&order=desc&purpose=a%26b%3Dc%20d"));
    }

    fn form(names: &[&str]) -> Request {
        let mut body = String::new();
        for name in names {
            let filename = if *name == "file" { "; filename=\"name=\\\"file\"" } else { "" };
            body += &format!(
                "--XX\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{name}\r\n--X\r\n"
            );
        }
        let content_type = HeaderValue::from_static("multipart/form-data; boundary=XX");
        let bytes = Bytes::from(body + "--XX--\r\n");
        Request::new(Endpoint::new(Method::POST, PATH).unwrap(), Payload::Raw { content_type, bytes })
    }

    fn bytes_of(request: &Request) -> &Bytes {
        match &request.body {
            Payload::Raw { bytes, .. } => bytes,
            other => panic!("a form: {other:?}"),
        }
    }

    #[test]
    fn the_file_of_anybodys_form_is_put_last_and_nothing_else_changes() {
        let mut request = form(&["file", "purpose", "expires_after[anchor]"]);
        assert_eq!(adapt(&mut request).len(), 1);
        assert_eq!(bytes_of(&request), bytes_of(&form(&["purpose", "expires_after[anchor]", "file"])));
        for names in [&["purpose", "file"][..], &["purpose"], &[]] {
            let mut request = form(names);
            assert!(adapt(&mut request).is_empty());
            assert_eq!(bytes_of(&request), bytes_of(&form(names)));
        }
    }

    #[test]
    fn a_form_that_is_none_stays_as_it_is() {
        for body in ["", "--XX", "--XX\r\n\r\n", "x--XX--", "--XX\r\nname=\"file\"\r\n\r\n"] {
            let mut request = form(&[]);
            let content_type = HeaderValue::from_static("multipart/form-data; boundary=XX");
            request.body = Payload::Raw { content_type, bytes: body.into() };
            assert!(adapt(&mut request).is_empty(), "{body:?}");
            assert_eq!(bytes_of(&request), body);
        }
    }

    #[test]
    fn purposes_that_async_openai_has_no_name_for_are_set_aside_and_read_again() {
        let file = json!({ "id": "file-api-1", "object": "file", "bytes": 3, "created_at": 1, "filename": "a.pdf",
            "purpose": "rich_layout_recognition", "pages": 2 });
        let list = json!({ "object": "list", "data": [file], "has_more": false });
        let json = with_known_purposes(list.to_string().into());
        let page: FileList = serde_json::from_slice(&json).unwrap();
        assert_eq!(page.data[0].purpose, Some(FilePurpose::RichLayoutRecognition));
        assert_eq!(serde_json::to_value(&page).unwrap(), list);
        let theirs: async_openai::types::files::ListFilesResponse = serde_json::from_slice(&json).unwrap();
        assert_eq!(theirs.data[0].id, "file-api-1");
    }

    #[test]
    fn debug_shows_neither_name_nor_content() {
        let upload = FileUpload::new("canary.png", "canary");
        let file: FileObject =
            serde_json::from_value(json!({ "id": "f", "filename": "canary", "x": "canary" })).unwrap();
        let list = FileList { data: vec![file.clone()], ..FileList::default() };
        assert!(!format!("{upload:?} {file:?} {list:?}").contains("canary"));
    }
}
