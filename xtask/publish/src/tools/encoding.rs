//! Owns content encodings: what a server put around the bytes of an object, and how it comes off again. Refuses to know
//! what the bytes are.
//!
//! Lix's predecessor stores narinfos and listings of the cache as `Content-Encoding: zstd`, others store br, xz or gzip,
//! and proxies add gzip on the way.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use anyhow::{Result, bail, ensure};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::unusable::Unusable;

/// More memory than this is not spent on one stream: xz and zstd may ask for gigabytes. In bytes.
const WINDOW_LIMIT: u64 = 128 << 20;
/// Nobody stacks more than two or three.
const MOST: usize = 8;

/// One that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Zstd,
    Gzip,
    Deflate,
    Brotli,
    Xz,
}

/// What is around some bytes, the innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encodings(Vec<Encoding>);

impl Encodings {
    /// Reads a `Content-Encoding`, which may name several in the order in which they were applied.
    ///
    /// # Errors
    /// It names one that is not known here.
    pub fn parse(header: Option<&str>) -> Result<Encodings> {
        let mut encodings = Vec::new();
        for name in header.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
            encodings.push(match name.to_ascii_lowercase().as_str() {
                // The last describes a request of S3; some servers keep it with the object.
                "identity" | "aws-chunked" => continue,
                "zstd" => Encoding::Zstd,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                "br" => Encoding::Brotli,
                "xz" | "x-xz" => Encoding::Xz,
                _ => bail!(Unusable(format!("its Content-Encoding is {name:?}, which cannot be decoded here"))),
            });
        }
        let count = encodings.len();
        ensure!(count <= MOST, Unusable(format!("its Content-Encoding names {count} encodings")));
        Ok(Encodings(encodings))
    }

    /// What bytes that must be text begin with when they are compressed and nobody said so.
    pub fn by_magic_number(bytes: &[u8]) -> Encodings {
        let is = |magic: &[u8]| bytes.starts_with(magic);
        Encodings(match () {
            () if is(b"\x28\xb5\x2f\xfd") => vec![Encoding::Zstd],
            () if is(b"\x1f\x8b\x08") => vec![Encoding::Gzip],
            () if is(b"\xfd7zXZ\0") => vec![Encoding::Xz],
            () => Vec::new(),
        })
    }

    /// Whether there is nothing to decode.
    pub fn is_identity(&self) -> bool {
        self.0.is_empty()
    }

    /// Decodes what is read.
    fn reader(&self, encoded: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        self.0.iter().rev().fold(encoded, |inner, encoding| {
            let inner = BufReader::new(inner);
            match encoding {
                Encoding::Zstd => Box::new(Zstd::new(inner)),
                Encoding::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(inner)),
                Encoding::Deflate => Box::new(Deflate::Unknown(Some(inner))),
                Encoding::Brotli => Box::new(brotli_decompressor::Decompressor::new(inner, 4096)),
                Encoding::Xz => {
                    let limit = u32::try_from(WINDOW_LIMIT >> 10).unwrap_or(u32::MAX);
                    Box::new(lzma_rust2::XzReader::new_mem_limit(inner, true, limit))
                }
            }
        })
    }

    /// Decodes everything, and hands it on piece by piece.
    ///
    /// # Errors
    /// It is damaged or cut off, or comes to more than `limit` bytes; or `take` fails.
    pub fn decode(
        &self,
        encoded: impl Read + Send + 'static,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut reader = self.reader(Box::new(encoded)).take(limit.saturating_add(1));
        let (mut buffer, mut decoded) = (vec![0; 64 << 10], 0);
        loop {
            let read = match reader.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| {
                    Unusable(format!("it is damaged: its content, encoded as {self}, cannot be decoded: {error}"))
                })?,
            };
            if read == 0 {
                return Ok(());
            }
            decoded += read as u64;
            ensure!(decoded <= limit, Unusable(format!("it has more than {limit} bytes when {self} is decoded")));
            take(&buffer[..read])?;
        }
    }

    /// Decodes bytes.
    ///
    /// # Errors
    /// As for [`Encodings::decode`].
    pub fn decoded(&self, bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>> {
        if self.is_identity() {
            return Ok(bytes);
        }
        let mut decoded = Vec::new();
        self.decode(io::Cursor::new(bytes), limit, |bytes| {
            decoded.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(decoded)
    }
}

impl fmt::Display for Encodings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |encoding: &Encoding| match encoding {
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
            Encoding::Brotli => "br",
            Encoding::Xz => "xz",
        };
        f.write_str(&self.0.iter().map(name).collect::<Vec<_>>().join(", "))
    }
}

/// Reads all frames of zstd, the skippable ones (which `pzstd` writes) among them, and holds them against their
/// checksums. The decoder underneath knows one frame.
struct Zstd<R: BufRead> {
    source: R,
    /// The frame that is being read. Boxed: it is large.
    frame: Option<Box<FrameDecoder>>,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Zstd<R> {
        Zstd { source, frame: None }
    }

    /// Begins the next frame, or skips one; says whether there was one.
    fn begin(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut decoder = Box::new(FrameDecoder::new());
        decoder.set_max_window_size(WINDOW_LIMIT);
        match decoder.init(&mut self.source) {
            Ok(()) => self.frame = Some(decoder),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(true)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.frame {
                None => {
                    if !self.begin()? {
                        return Ok(0);
                    }
                }
                Some(frame) if frame.can_collect() > 0 => return frame.read(buffer),
                Some(frame) if frame.is_finished() => {
                    let expected = frame.get_checksum_from_data();
                    if expected.is_some() && expected != frame.get_calculated_checksum() {
                        return Err(io::Error::other("its checksum is another"));
                    }
                    self.frame = None;
                }
                Some(frame) => {
                    let one = BlockDecodingStrategy::UptoBlocks(1);
                    frame.decode_blocks(&mut self.source, one).map_err(io::Error::other)?;
                }
            }
        }
    }
}

/// Deflate has a header by the standard, and none as some servers send it.
enum Deflate<R: BufRead> {
    Unknown(Option<R>),
    WithHeader(flate2::bufread::ZlibDecoder<R>),
    Bare(flate2::bufread::DeflateDecoder<R>),
}

impl<R: BufRead> Read for Deflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Deflate::Unknown(source) = self {
            let Some(mut source) = source.take() else { return Ok(0) };
            // The low half of the first byte is 8 in both only by chance: the header's method.
            *self = match source.fill_buf()?.first() {
                Some(first) if first & 0x0f == 8 => Deflate::WithHeader(flate2::bufread::ZlibDecoder::new(source)),
                _ => Deflate::Bare(flate2::bufread::DeflateDecoder::new(source)),
            };
        }
        match self {
            Deflate::Unknown(_) => Ok(0),
            Deflate::WithHeader(decoder) => decoder.read(buffer),
            Deflate::Bare(decoder) => decoder.read(buffer),
        }
    }
}
