//! The OCI image index that joins the images of several architectures into one, and the parts of OCI's formats that are
//! needed to write it.
//!
//! Owns its bytes, which depend on nothing but the images: keys in OCI's order, annotations sorted, no time.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, oci};
use crate::oid::Oid;
use crate::problem::Problems;
use crate::shown::{excerpt, reason};
use crate::system::{Platform, System};

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Annotation in a layout's `index.json`: the name that `oci:DIR:NAME` refers to.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotations of the index: the version, and the commit that it was built from.
const VERSION: &str = "org.opencontainers.image.version";
const REVISION: &str = "org.opencontainers.image.revision";

/// File of an OCI directory (an image layout on disk) that names its images.
pub const NAMES: &str = "index.json";
/// Its directory of blobs, by digest.
pub const BLOBS: &str = "blobs/sha256";
/// The file that marks it, and that file's content: newer versions of skopeo add a newline.
pub const MARK: (&str, &str) = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);

/// A reference to a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    /// Digest of the blob: `sha256:` and the digits.
    #[serde(with = "oci")]
    pub digest: Digest,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Returns the name that the blob has in a layout's `index.json`.
    pub fn ref_name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }
}

/// An index, or a layout's `index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The parts of an image's manifest that are needed.
#[derive(Debug, Deserialize)]
pub struct OciManifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// The parts of an image's configuration that are needed.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    pub platform: Platform,
    #[serde(default)]
    config: RuntimeConfig,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct RuntimeConfig {
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Index {
    /// Parses an index.
    ///
    /// # Errors
    /// The text is not an index, or has digests other than SHA-256.
    pub fn parse(bytes: &[u8]) -> Result<Index, String> {
        parse(bytes, "an image index")
    }
}

impl Index {
    /// Returns the index as older copies of this tool made it, which did not add the version and the commit to the images'
    /// labels. It has those that an image has.
    pub fn of_older_tools(&self) -> Vec<Index> {
        let without = |labels: &[&str]| {
            let mut index = self.clone();
            index.annotations.retain(|label, _| !labels.contains(&label.as_str()));
            index
        };
        [&[VERSION][..], &[REVISION], &[VERSION, REVISION]].map(without).into()
    }
}

impl OciManifest {
    /// Parses an image's manifest.
    ///
    /// # Errors
    /// As for [`Index::parse`].
    pub fn parse(bytes: &[u8]) -> Result<OciManifest, String> {
        parse(bytes, "the manifest of an image")
    }
}

impl Config {
    /// Parses an image's configuration.
    ///
    /// # Errors
    /// As for [`Index::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Config, String> {
        parse(bytes, "the configuration of an image")
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("is not {what}: {}", reason(error)))
}

/// An image of one architecture.
#[derive(Clone, Debug)]
pub struct Image {
    /// The system that it was built for.
    pub system: System,
    /// Descriptor of its manifest.
    pub descriptor: Descriptor,
    pub config: Config,
}

impl Index {
    /// Returns what a layout holds under the name `name`.
    pub fn named(&self, name: &str) -> Option<&Descriptor> {
        self.manifests.iter().find(|manifest| manifest.ref_name() == Some(name))
    }

    /// Gives the name `name` to the index `index` of `size` bytes in a layout. The entry that had the name before is
    /// removed.
    pub fn name(&mut self, name: &str, index: Digest, size: u64) {
        self.manifests.retain(|manifest| manifest.ref_name() != Some(name));
        self.manifests.extend(Index::layout(name, index, size).manifests);
    }

    /// Returns the index of an empty layout.
    pub fn empty() -> Index {
        Index { schema_version: 2, media_type: None, manifests: Vec::new(), annotations: BTreeMap::new() }
    }

    /// Joins images, in the order of their systems' names. Their labels become the index's annotations, which also name the
    /// version and the commit; `commit` is `None` if something else was built.
    ///
    /// # Errors
    /// Every label on which two images, or an image and the release, disagree, every image that says it is for another
    /// platform than it was built for, and manifests that are not OCI's.
    pub fn join(images: &[Image], version: &str, commit: Option<&Oid>) -> Result<Index, Problems> {
        let mut problems = Problems::default();
        let mut annotations: BTreeMap<String, String> = BTreeMap::new();
        let mut manifests = Vec::new();
        for image in images {
            problems.extend(faults(image));
            let platform = Some(image.config.platform.clone());
            manifests.push((
                &image.system,
                Descriptor { platform, annotations: BTreeMap::new(), ..image.descriptor.clone() },
            ));
            annotations.extend(image.labels().map(|(name, value)| (name.clone(), value.clone())));
        }
        for (label, value) in &annotations {
            if let Some(other) = images.iter().find(|image| image.label(label) != Some(value)) {
                let has = |image: &Image| match image.label(label) {
                    Some(value) => format!("{} says `{value}`", image.system),
                    None => format!("{} has none", image.system),
                };
                let one = images.iter().find(|image| image.label(label) == Some(value)).unwrap_or(other);
                let what = format!("the images disagree on the label {label}: {}, {}", has(one), has(other));
                problems.add(what);
            }
        }
        let released = [(VERSION, Some(version)), (REVISION, commit.map(Oid::as_str))];
        for (label, is) in released.into_iter().filter_map(|(label, is)| Some((label, is?))) {
            match annotations.get(label) {
                None => drop(annotations.insert(label.to_owned(), is.to_owned())),
                Some(says) if says != is => {
                    problems.add(format!("the images' label {label} says `{}`, but this is {is}", excerpt(says)));
                }
                Some(_) => {}
            }
        }
        problems.into_result()?;
        manifests.sort_by_key(|(system, _)| *system);
        let manifests = manifests.into_iter().map(|(_, descriptor)| descriptor).collect();
        Ok(Index { schema_version: 2, media_type: Some(INDEX_TYPE.to_owned()), manifests, annotations })
    }

    /// Returns the `index.json` of a layout that holds one index under the name `name`.
    pub fn layout(name: &str, index: Digest, size: u64) -> Index {
        let descriptor = Descriptor {
            media_type: INDEX_TYPE.to_owned(),
            digest: index,
            size,
            platform: None,
            annotations: BTreeMap::from([(REF_NAME.to_owned(), name.to_owned())]),
        };
        Index { manifests: vec![descriptor], ..Index::empty() }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an index has only string keys")
    }
}

impl Image {
    fn labels(&self) -> impl Iterator<Item = (&String, &String)> {
        self.config.config.labels.iter().flatten()
    }

    fn label(&self, name: &str) -> Option<&String> {
        self.config.config.labels.as_ref()?.get(name)
    }
}

fn faults(image: &Image) -> Problems {
    let mut problems = Problems::default();
    let (system, is) = (&image.system, &image.config.platform);
    if let Some(expected) = system.platform().filter(|expected| expected != is) {
        problems.add(format!("the image of {system} says that it is for {is}, not {expected}"));
    }
    if image.descriptor.media_type != MANIFEST_TYPE {
        let what = format!("the manifest of {system} is of type {}, not {MANIFEST_TYPE}", image.descriptor.media_type);
        problems.add(what);
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn image(system: &str, architecture: &str, labels: &[(&str, &str)]) -> Image {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let config = serde_json::json!({
            "created": "1970-01-01T00:00:01Z", "os": "linux", "architecture": architecture, "config": {"Labels": labels},
        });
        let descriptor = serde_json::json!({
            "mediaType": MANIFEST_TYPE, "digest": format!("sha256:{}", "0".repeat(64)), "size": 401,
            "annotations": {REF_NAME: system},
        });
        Image {
            system: system.parse().expect(system),
            descriptor: serde_json::from_value(descriptor).expect("a descriptor"),
            config: serde_json::from_value(config).expect("a configuration"),
        }
    }

    #[test]
    fn bytes() {
        let labels = [("org.opencontainers.image.title", "Lix"), ("a", "b"), (VERSION, "2.93.1")];
        let images = [image("x86_64-linux", "amd64", &labels), image("aarch64-linux", "arm64", &labels)];
        let commit: Oid = "c".repeat(40).parse().expect("an object");
        let index = Index::join(&images, "2.93.1", Some(&commit)).expect("they agree");
        let digest = Digest::new([0; 32]);
        expect![[r#"
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":401,"platform":{"architecture":"arm64","os":"linux"}},{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":401,"platform":{"architecture":"amd64","os":"linux"}}],"annotations":{"a":"b","org.opencontainers.image.revision":"cccccccccccccccccccccccccccccccccccccccc","org.opencontainers.image.title":"Lix","org.opencontainers.image.version":"2.93.1"}}
            {"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":9,"annotations":{"org.opencontainers.image.ref.name":"2.93.1"}}]}
        "#]]
        .assert_eq(&format!("{}\n{}\n", index.to_json(), Index::layout("2.93.1", digest, 9).to_json()));
        assert_eq!(serde_json::from_str::<Index>(&index.to_json()).expect("readable"), index);
        assert_eq!(images[0].descriptor.ref_name(), Some("x86_64-linux"));
    }

    #[test]
    fn disagreement_is_refused() {
        let mut foreign = image("aarch64-linux", "amd64", &[("version", "2"), ("same", "a")]);
        foreign.descriptor.media_type = "application/vnd.docker.distribution.manifest.v2+json".to_owned();
        let images = [image("x86_64-linux", "amd64", &[("version", "1"), ("same", "a"), ("only", "here")]), foreign];
        expect![[r#"
            the image of aarch64-linux says that it is for linux/amd64, not linux/arm64
            the manifest of aarch64-linux is of type application/vnd.docker.distribution.manifest.v2+json, not application/vnd.oci.image.manifest.v1+json
            the images disagree on the label only: x86_64-linux says `here`, aarch64-linux has none
            the images disagree on the label version: aarch64-linux says `2`, x86_64-linux says `1`
        "#]]
        .assert_eq(&format!("{}\n", Index::join(&images, "2.93.1", None).expect_err("they disagree")));
    }

    #[test]
    fn the_images_are_of_the_release() {
        let commit: Oid = "c".repeat(40).parse().expect("an object");
        let join = |labels: &[(&str, &str)], commit| {
            let joined = Index::join(&[image("x86_64-linux", "amd64", labels)], "2.93.1", commit);
            joined.map_or_else(|why| why.to_string(), |index| format!("{:?}", index.annotations))
        };
        let cases = [
            join(&[], Some(&commit)),
            join(&[(REVISION, "0000")], None),
            join(&[(REVISION, "0000"), (VERSION, "2.93.0")], Some(&commit)),
        ];
        expect![[r#"
            {"org.opencontainers.image.revision": "cccccccccccccccccccccccccccccccccccccccc", "org.opencontainers.image.version": "2.93.1"}
            {"org.opencontainers.image.revision": "0000", "org.opencontainers.image.version": "2.93.1"}
            the images' label org.opencontainers.image.version says `2.93.0`, but this is 2.93.1
            the images' label org.opencontainers.image.revision says `0000`, but this is cccccccccccccccccccccccccccccccccccccccc"#]].assert_eq(&cases.join("\n"));
    }
}
