//! Objects that are stored or sent with an encoding are decoded, up to the expected size.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use expect_test::expect;
use xtask_publish::tools::anonymous::Anonymous;
use xtask_publish::tools::content::Content;
use xtask_publish::tools::encoding::Encodings;
use xtask_publish::tools::http::Http;

use crate::scripted::{Answer, Scripted};
use crate::world::noise;

const TEXT: &str = "StorePath: /nix/store/00000000000000000000000000000000-hello\nURL: nar/hello.nar.zst\n";
/// Made by the `brotli` package of PyPI: Debian's program of that name is seldom installed.
const BROTLI: &str = "1b5300308cc43826f2854d34cb08956ecbf3c8ebe38083a4f36c9360054b10293d70c881c3a9451668c2a1540315ade0c0658644ba517b0cfa7e8c05aa796277e6a6eb01c9916709";

/// The output of a program for some input.
fn run(program: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut child =
        Command::new(program[0]).args(&program[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("it was piped")?;
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output()?;
    writing.join().expect("it does not panic")?;
    ensure!(output.status.success(), "{program:?} failed");
    Ok(output.stdout)
}

const ZSTD: &[&str] = &["zstd", "-q", "-c"];
const GZIP: &[&str] = &["gzip", "-c"];
const XZ: &[&str] = &["xz", "-c"];

fn programs_are_there() -> bool {
    let there = ["zstd", "gzip", "xz"].iter().all(|program| Command::new(program).arg("--version").output().is_ok());
    if !there {
        crate::repo::skip("zstd, gzip or xz is not installed");
    }
    there
}

fn decode(header: &str, bytes: Vec<u8>, limit: u64) -> String {
    let decoded = Encodings::parse(Some(header)).and_then(|encodings| encodings.decoded(bytes, limit));
    match decoded {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn what_programs_encode_is_decoded() -> Result<()> {
    if !programs_are_there() {
        return Ok(());
    }
    let text = TEXT.as_bytes();
    for (header, bytes) in [
        ("zstd", run(ZSTD, text)?),
        ("ZSTD", run(&["zstd", "-q", "-c", "-19", "--no-check"], text)?),
        ("gzip", run(GZIP, text)?),
        ("x-gzip", run(GZIP, text)?),
        ("xz", run(XZ, text)?),
        ("br", hex::decode(BROTLI)?),
        ("identity", text.to_vec()),
        ("aws-chunked", text.to_vec()),
        ("", text.to_vec()),
        ("zstd, gzip", run(GZIP, &run(ZSTD, text)?)?),
        ("xz,identity , zstd", run(ZSTD, &run(XZ, text)?)?),
    ] {
        assert_eq!(decode(header, bytes, 1000), TEXT, "{header}");
    }
    for (header, program) in [("zstd", ZSTD), ("gzip", GZIP), ("xz", XZ)] {
        let two = [run(program, &text[..40])?, run(program, &text[40..])?].concat();
        assert_eq!(decode(header, two, 1000), TEXT, "two streams of {header}");
    }
    let mut skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc".to_vec();
    skippable.extend(run(ZSTD, text)?);
    assert_eq!(decode("zstd", skippable, 1000), TEXT);
    let zlib = "import sys,zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))";
    let bare = "import sys,zlib; c=zlib.compressobj(wbits=-15); sys.stdout.buffer.write(c.compress(sys.stdin.buffer.read())+c.flush())";
    for program in [zlib, bare] {
        assert_eq!(decode("deflate", run(&["python3", "-c", program], text)?, 1000), TEXT);
    }
    Ok(())
}

#[test]
fn what_is_damaged_unknown_or_too_much_is_an_error() -> Result<()> {
    if !programs_are_there() {
        return Ok(());
    }
    expect![[r#"its Content-Encoding is "compress", which cannot be decoded here"#]].assert_eq(&decode(
        "gzip, compress",
        Vec::new(),
        9,
    ));
    let bytes = noise(100_000, 7);
    for (header, program) in [("zstd", ZSTD), ("gzip", GZIP), ("xz", XZ)] {
        let encoded = run(program, &bytes)?;
        for cut in [3, encoded.len() / 2, encoded.len() - 1] {
            let error = decode(header, encoded[..cut].to_vec(), 1 << 20);
            assert!(error.starts_with("it is damaged: its content, encoded as"), "{header} {cut}: {error:.200}");
        }
        let mut flipped = encoded.clone();
        flipped[encoded.len() / 2] ^= 1;
        let error = decode(header, flipped, 1 << 20);
        assert!(error.starts_with("it is damaged"), "{header}: {error:.200}");
        // A bomb: 64 MB of zeros, which are decoded only up to the expected size.
        let bomb = run(program, &vec![0; 64 << 20])?;
        assert!(bomb.len() < 100_000);
        assert_eq!(decode(header, bomb, 1000), format!("it has more than 1000 bytes when {header} is decoded"));
    }
    let brotli = hex::decode(BROTLI)?;
    assert!(decode("br", brotli[..30].to_vec(), 1000).starts_with("it is damaged"));
    Ok(())
}

/// Serves one encoded object, with or without the header.
async fn serving(key: &'static str, header: Option<&'static str>, body: Vec<u8>) -> Result<Scripted> {
    Scripted::start(move |asked| match asked.path.trim_start_matches("/test-bucket") {
        path if path.trim_start_matches('/') == key => {
            let answer = Answer::new(200, body.clone()).header("content-type", "text/plain");
            header.iter().fold(answer, |answer, header| answer.header("content-encoding", header))
        }
        _ => Answer::new(404, "<Error><Code>NoSuchKey</Code></Error>"),
    })
    .await
}

#[tokio::test]
async fn stores_and_public_addresses_decode() -> Result<()> {
    if !programs_are_there() {
        return Ok(());
    }
    let (key, content) = ("x.narinfo", Content::of_bytes(TEXT.as_bytes()));
    for (header, bytes) in [("zstd", run(ZSTD, TEXT.as_bytes())?), ("br", hex::decode(BROTLI)?)] {
        let server = serving(key, Some(header), bytes).await?;
        let (store, http) = (server.store(), Http::new(&server.url));
        assert_eq!(store.get(key, 100).await?.as_deref(), Some(TEXT.as_bytes()));
        assert_eq!(http.get(key, 100).await?.as_deref(), Some(TEXT.as_bytes()));
        assert_eq!(store.content(key).await?.as_ref(), Some(&content));
        assert_eq!(http.content(key).await?.as_ref(), Some(&content));
        assert_eq!(http.size(key).await?, Some(content.size));
        assert!(store.holds(key, &content).await?);
        assert_eq!(
            store.read(key, 100).await?.context("it is there")?.served.content_encoding.as_deref(),
            Some(header)
        );
        let error = format!("{:#}", store.get(key, 20).await.expect_err("it has more than 20 bytes"));
        assert!(error.contains("it has more than 20 bytes"), "{error}");
        assert!(http.get(key, 20).await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_header_is_made_up_for_in_our_own_texts_alone() -> Result<()> {
    if !programs_are_there() {
        return Ok(());
    }
    let encoded = run(ZSTD, b"{}\n")?;
    let server = serving("release.json", None, encoded.clone()).await?;
    assert_eq!(server.store().get("release.json", 100).await?.as_deref(), Some(&b"{}\n"[..]));
    // Nix does not guess, so such a narinfo is broken for users.
    let server = serving("x.narinfo", None, encoded.clone()).await?;
    assert_eq!(server.store().get("x.narinfo", 100).await?, Some(encoded));
    Ok(())
}

#[tokio::test]
async fn what_serves_a_bucket_to_programs_keeps_its_headers() -> Result<()> {
    if !programs_are_there() {
        return Ok(());
    }
    let server = serving("x%20y.narinfo", Some("zstd"), run(ZSTD, TEXT.as_bytes())?).await?;
    let public = Anonymous::start(server.store()).await?;
    let page = Http::new(public.url()).page("x y.narinfo", 100).await?.context("it is there")?;
    assert_eq!(String::from_utf8(page.bytes)?, TEXT);
    assert_eq!(page.headers.get("Content-Encoding"), Some("zstd"));
    assert_eq!(page.headers.served().content_type.as_deref(), Some("text/plain"));
    Ok(())
}
