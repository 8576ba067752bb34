//! The shape of CycloneDX 1.6, as far as it is written here.

use serde::{Deserialize, Serialize};

use crate::shown::{excerpt, reason};

pub const FORMAT: &str = "CycloneDX";
pub const VERSION: &str = "1.6";
pub const ALGORITHM: &str = "SHA-256";
pub const WEBSITE: &str = "website";
/// What a component is called if no narrower word is known.
const APPLICATION: &str = "application";

/// Names of properties: the size of the NAR in bytes, of which the hash is, too; and of the document, the commit, the
/// derivation and the system.
pub const NAR_SIZE: &str = "nix:narSize";
pub const COMMIT: &str = "git:commit";
pub const DERIVATION: &str = "nix:derivation";
pub const SYSTEM: &str = "nix:system";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    pub bom_format: String,
    pub spec_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    pub version: u32,
    pub metadata: Metadata,
    #[serde(default)]
    pub components: Vec<Component>,
    #[serde(default)]
    pub dependencies: Vec<Dependency>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Metadata {
    pub timestamp: Option<String>,
    pub tools: Option<Tools>,
    pub component: Option<Component>,
    #[serde(default)]
    pub properties: Vec<Property>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Tools {
    #[serde(default)]
    pub components: Vec<Component>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Component {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(rename = "bom-ref", default, skip_serializing_if = "String::is_empty")]
    pub bom_ref: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<Hash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<Licensed>,
    #[serde(rename = "externalReferences", default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

impl Component {
    pub fn plain(name: &str, version: &str) -> Component {
        Component {
            kind: APPLICATION.to_owned(),
            bom_ref: String::new(),
            name: name.to_owned(),
            version: version.to_owned(),
            hashes: Vec::new(),
            licenses: Vec::new(),
            references: Vec::new(),
            properties: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Hash {
    #[serde(rename = "alg")]
    pub algorithm: String,
    pub content: String,
}

/// A license, or an expression, which this tool does not write.
#[derive(Debug, Serialize, Deserialize)]
pub struct Licensed {
    pub license: Option<License>,
}

impl Licensed {
    /// A license that the package itself states.
    pub fn declared(id: Option<&String>, name: Option<&String>) -> Licensed {
        let acknowledgement = Some("declared".to_owned());
        Licensed { license: Some(License { id: id.cloned(), name: name.cloned(), acknowledgement }) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct License {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the package itself says so (`declared`), or someone who looked.
    pub acknowledgement: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Reference {
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Property {
    pub name: String,
    #[serde(default)]
    pub value: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    #[serde(rename = "ref")]
    pub of: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

impl Document {
    /// # Errors
    /// What is wrong with the text, in words that follow its name.
    pub fn parse(text: &str) -> Result<Document, String> {
        let document: Document =
            serde_json::from_str(text).map_err(|error| format!("is not a bill of materials: {}", reason(error)))?;
        if document.bom_format != FORMAT {
            return Err(format!("is a bill of materials of another format, `{}`", excerpt(&document.bom_format)));
        }
        Ok(document)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a bill of materials has only string keys") + "\n"
    }
}

/// Returns the value of a property.
pub fn named<'a>(properties: &'a [Property], name: &str) -> Option<&'a str> {
    properties.iter().find(|property| property.name == name).map(|property| property.value.as_str())
}
