//! HTTP/1.1 as far as programs of a release speak it: complete messages over connections that stay open.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};

/// Most bytes of one line of a head.
const LONGEST_LINE: u64 = 64 << 10;

/// Header lines, in order.
#[derive(Debug, Clone, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// Returns a header by name, ignoring case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|value| value.to_ascii_lowercase().contains(word))
    }
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Request {
    /// The path, decoded.
    pub fn path(&self) -> String {
        decoded(self.target.split('?').next().unwrap_or_default())
    }

    /// The query, as sent.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query().split('&').find_map(|pair| {
            let (is, value) = pair.split_once('=').unwrap_or((pair, ""));
            (is == name).then(|| decoded(value))
        })
    }

    /// Whether it can be asked again without a change.
    pub fn only_reads(&self) -> bool {
        self.method == "GET" || self.method == "HEAD"
    }
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    /// Empty in the answer to `HEAD`, whatever its headers say.
    pub body: Vec<u8>,
}

impl Answer {
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Answer { status, headers: Headers(headers), body: body.into() }
    }

    /// The bytes that are sent for it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers.0 {
            head += &format!("{name}: {value}\r\n");
        }
        if self.headers.get("content-length").is_none() && self.status != 204 && self.status != 304 {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// A name for people: not every client has its own.
fn reason(status: u16) -> &'static str {
    match status {
        200..=299 => "OK",
        404 => "Not Found",
        500.. => "Server Error",
        _ => "As Said",
    }
}

/// Reads the next request of a connection; `None` if there is none.
///
/// # Errors
/// The connection breaks off, or this is not HTTP.
pub fn request(reader: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let Some(first) = line(reader)? else { return Ok(None) };
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, _] = words[..] else { bail!("not a request: {first}") };
    let headers = headers(reader)?;
    if headers.has("expect", "100-continue") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = body(reader, &headers, Some(0))?;
    Ok(Some(Request { method: method.to_owned(), target: target.to_owned(), headers, body }))
}

/// Reads an answer to a request of a method.
///
/// # Errors
/// The connection breaks off, or this is not HTTP.
pub fn answer(reader: &mut BufReader<TcpStream>, method: &str) -> Result<Answer> {
    loop {
        let first = line(reader)?.context("the server has closed the connection")?;
        let status: u16 = first.split(' ').nth(1).and_then(|word| word.parse().ok()).context("not an answer")?;
        let mut headers = headers(reader)?;
        if status == 100 {
            continue;
        }
        let has_body = method != "HEAD" && status != 204 && status != 304;
        let body = if has_body { body(reader, &headers, None)? } else { Vec::new() };
        let is_of_connection =
            |name: &str| ["transfer-encoding", "connection"].contains(&name) || has_body && name == "content-length";
        headers.0.retain(|(name, _)| !is_of_connection(name.to_ascii_lowercase().as_str()));
        return Ok(Answer { status, headers, body });
    }
}

/// Writes a request as one with a length.
///
/// # Errors
/// The connection breaks off.
pub fn send(mut stream: &TcpStream, request: &Request) -> io::Result<()> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers.0 {
        let is_ours = ["transfer-encoding", "expect", "connection", "content-length"];
        if !is_ours.contains(&name.to_ascii_lowercase().as_str()) {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len());
    stream.write_all(&[head.as_bytes(), &request.body].concat())
}

fn line(reader: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8(line)?.trim_end().to_owned()))
}

fn headers(reader: &mut BufReader<TcpStream>) -> Result<Headers> {
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?.context("a head without an end")?;
        if line.is_empty() {
            return Ok(Headers(headers));
        }
        let (name, value) = line.split_once(':').with_context(|| format!("not a header: {line}"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Reads a body. Without a length, it has that of `otherwise`, or ends with the connection.
fn body(reader: &mut BufReader<TcpStream>, headers: &Headers, otherwise: Option<u64>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if headers.has("transfer-encoding", "chunked") {
        loop {
            let size = line(reader)?.context("a body without an end")?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
            if size == 0 {
                // The trailer.
                self::headers(reader)?;
                return Ok(body);
            }
            let had = body.len() as u64;
            reader.take(size).read_to_end(&mut body)?;
            ensure!(body.len() as u64 == had + size && line(reader)?.is_some(), "a body without an end");
        }
    }
    match headers.get("content-length").map(str::parse).transpose()?.or(otherwise) {
        Some(size) => {
            reader.take(size).read_to_end(&mut body)?;
            ensure!(body.len() as u64 == size, "a body without an end");
        }
        None => {
            reader.read_to_end(&mut body)?;
        }
    }
    Ok(body)
}

/// Decodes `%41`.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, more)) = rest.split_first() {
        let digits = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'%') {
            Some(value) => {
                bytes.push(value);
                rest = &more[2..];
            }
            None => {
                bytes.push(byte);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_parameters_are_decoded() {
        let target = "/docs/a%20b%2Fc%zz?list-type=2&prefix=manual%2Flix&delimiter".to_owned();
        let request = Request { method: "GET".to_owned(), target, headers: Headers::default(), body: Vec::new() };
        assert_eq!(request.path(), "/docs/a b/c%zz");
        assert_eq!(request.parameter("prefix").as_deref(), Some("manual/lix"));
        assert_eq!(request.parameter("delimiter").as_deref(), Some(""));
        assert_eq!(request.parameter("max-keys"), None);
    }
}
