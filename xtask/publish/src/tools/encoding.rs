//! Content encodings, and their decoding.
//!
//! Lix's previous release tool stores the cache's narinfos and listings with `Content-Encoding: zstd`; others use br,
//! xz or gzip, and proxies add gzip.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use anyhow::{Result, bail, ensure};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::unusable::Unusable;

/// Most memory for one stream, in bytes: xz and zstd may ask for gigabytes.
const WINDOW_LIMIT: u64 = 128 << 20;
/// Most encodings of one object; two or three are the most that occur.
const MOST: usize = 8;

/// An encoding that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Zstd,
    Gzip,
    Deflate,
    Brotli,
    Xz,
}

/// The encodings of some bytes, in the order in which they were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encodings(Vec<Encoding>);

impl Encodings {
    /// Reads a `Content-Encoding`, which may name several in the order in which they were applied.
    ///
    /// # Errors
    /// It names an encoding that is not supported here.
    pub fn parse(header: Option<&str>) -> Result<Encodings> {
        let mut encodings = Vec::new();
        for name in header.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
            encodings.push(match name.to_ascii_lowercase().as_str() {
                // `aws-chunked` describes an S3 request; some servers store it with the object.
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

    /// Recognises compressed bytes that should be text, when the server did not name an encoding.
    pub fn by_magic_number(bytes: &[u8]) -> Encodings {
        let is = |magic: &[u8]| bytes.starts_with(magic);
        Encodings(if is(b"\x28\xb5\x2f\xfd") {
            vec![Encoding::Zstd]
        } else if is(b"\x1f\x8b\x08") {
            vec![Encoding::Gzip]
        } else if is(b"\xfd7zXZ\0") {
            vec![Encoding::Xz]
        } else {
            Vec::new()
        })
    }

    /// Whether there is nothing to decode.
    pub fn is_identity(&self) -> bool {
        self.0.is_empty()
    }

    /// Wraps a reader so that it decodes.
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

    /// Decodes a stream, and hands it to `take` piece by piece.
    ///
    /// # Errors
    /// The stream is damaged, cut off, or has more than `limit` bytes when decoded; or `take` fails.
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

    /// Decodes bytes in memory.
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

/// Decodes any number of zstd frames, including skippable ones (which `pzstd` writes), and checks their checksums. The
/// decoder underneath reads a single frame.
struct Zstd<R: BufRead> {
    source: R,
    /// The current frame. Boxed, because it is large.
    frame: Option<Box<FrameDecoder>>,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Zstd<R> {
        Zstd { source, frame: None }
    }

    /// Starts the next frame, or skips one; returns whether there was one.
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
                        return Err(io::Error::other("its checksum is wrong"));
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

/// Deflate: with a header by the standard, and without one from some servers.
enum Deflate<R: BufRead> {
    Unknown(Option<R>),
    WithHeader(flate2::bufread::ZlibDecoder<R>),
    Bare(flate2::bufread::DeflateDecoder<R>),
}

impl<R: BufRead> Read for Deflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Deflate::Unknown(source) = self {
            let Some(mut source) = source.take() else { return Ok(0) };
            // The low half of the header's first byte is 8, the method. Without a header, it is 8 only by chance.
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
