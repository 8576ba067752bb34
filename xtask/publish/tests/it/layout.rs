//! An OCI directory with one index of two images, as `build` makes it, but made without skopeo.

use camino::Utf8Path;
use serde_json::{Value, json};
use xtask::domain::build::image::Index;
use xtask::domain::build::record::ImageRecord;
use xtask::domain::digest::{Digest, FileFacts};
use xtask::tools::files;

pub const ARCHITECTURES: [&str; 2] = ["arm64", "amd64"];

/// Writes the directory; the images differ by version.
pub fn write(dir: &Utf8Path, version: &str) -> ImageRecord {
    let manifests: Vec<Value> = ARCHITECTURES.map(|architecture| image(dir, version, architecture)).into();
    let platforms = manifests.iter().map(|manifest| manifest["platform"].clone()).collect();
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests,
    });
    let FileFacts { size, sha256 } = blob(dir, index.to_string().as_bytes());
    files::write_atomic(&dir.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").expect("written");
    files::write_atomic(&dir.join("index.json"), &Index::layout(version, sha256, size).to_json()).expect("written");
    let platforms = serde_json::from_value(platforms).expect("platforms");
    ImageRecord { digest: sha256, platforms }
}

/// The descriptor of an image's manifest.
fn image(dir: &Utf8Path, version: &str, architecture: &str) -> Value {
    let layer = blob(dir, &layer(version, architecture));
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"Labels": {"version": version}},
        "rootfs": {"type": "layers", "diff_ids": [layer.sha256.oci()]},
    });
    let config = blob(dir, config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config), "layers": [descriptor("layer.v1.tar", layer)],
    });
    let mut manifest = descriptor("manifest.v1+json", blob(dir, manifest.to_string().as_bytes()));
    manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
    manifest
}

fn descriptor(kind: &str, FileFacts { size, sha256 }: FileFacts) -> Value {
    json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": sha256.oci(), "size": size })
}

/// A tar archive that differs by version and architecture.
fn layer(version: &str, architecture: &str) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    let name = format!("lix-{version}-{architecture}");
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(b"00000000000");
    block[156] = b'0';
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.resize(3 * 512, 0);
    block
}

fn blob(dir: &Utf8Path, content: &[u8]) -> FileFacts {
    let digest: Digest = files::digest_of(content).sha256;
    files::create(&dir.join("blobs/sha256").join(digest.to_string()), content).expect("written")
}
