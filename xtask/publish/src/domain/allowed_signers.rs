//! OpenSSH's lists of allowed signers, as far as they name ed25519 keys: `manual ssh-keygen`, "ALLOWED SIGNERS".

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::cache::signing::PublicKey;
use super::sshsig;

/// Returns the ed25519 keys that a list allows to sign for `namespace`, named after their principals.
///
/// # Errors
/// A line is not one of such a list, or restricts a key in a way that only `ssh-keygen` can judge.
pub fn parse(text: &str, namespace: &str) -> Result<Vec<PublicKey>, String> {
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = key(line, namespace).map_err(|why| format!("line {number} {why}"))?;
        keys.extend(key);
    }
    Ok(keys)
}

/// Returns the key of a line; `None` if it is not for the namespace, or of another kind.
fn key(line: &str, namespace: &str) -> Result<Option<PublicKey>, String> {
    let mut words = words(line)?.into_iter();
    let principals = words.next().unwrap_or_default();
    let mut next = words.next().ok_or("has no key")?;
    let mut is_for_us = true;
    if !is_kind(&next) {
        let mut named = false;
        for option in options(&next) {
            let (name, value) = option.split_once('=').unwrap_or((&option, ""));
            match name.to_ascii_lowercase().as_str() {
                "namespaces" if named || value.split(',').any(is_difficult) => {
                    return Err("has patterns for namespaces that only `ssh-keygen -Y verify` can judge".to_owned());
                }
                "namespaces" => {
                    named = true;
                    is_for_us = value.split(',').any(|pattern| pattern == namespace || pattern == "*");
                }
                "cert-authority" | "valid-after" | "valid-before" => {
                    return Err(format!("has the option `{name}`, which only `ssh-keygen -Y verify` can judge"));
                }
                _ => return Err("has an option that is not known".to_owned()),
            }
        }
        next = words.next().ok_or("has no key")?;
    }
    let blob = words.next().and_then(|digits| BASE64.decode(digits).ok()).ok_or("has no key in base 64")?;
    if !is_kind(&next) {
        return Err("has no key".to_owned());
    }
    if !is_for_us || next != sshsig::KIND {
        return Ok(None);
    }
    let bytes = sshsig::key_in(&blob).ok_or("has a damaged key")?;
    PublicKey::named(&principals, bytes).map(Some).map_err(|why| format!("cannot be used: {why}"))
}

/// Whether a pattern is neither a plain name nor one for all names.
fn is_difficult(pattern: &str) -> bool {
    pattern != "*" && pattern.contains(['*', '?', '!'])
}

fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

/// Splits a line at blanks that are not in quotes.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.push(c);
            }
            ' ' | '\t' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            c => word.push(c),
        }
    }
    if quoted {
        return Err("has an open quote".to_owned());
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    Ok(words)
}

/// Splits options at commas that are not in quotes, and removes the quotes.
fn options(word: &str) -> Vec<String> {
    let (mut options, mut quoted) = (vec![String::new()], false);
    for c in word.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => options.push(String::new()),
            c => options.last_mut().expect("never empty").push(c),
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_keys_for_releases_are_found() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAqJ2Rwh04i9duT3VItsgmH4yDa5GqB4FJF+Qh/m2cxb";
        let lines = [
            format!("lix-release {key}"),
            format!("lix-release namespaces=\"lix-release\" {key} a comment"),
            format!("a@example.org,b@example.org\tnamespaces=\"git,lix-release\"  {key}"),
            format!("# lix-release {key}\n\n"),
            format!("lix-release namespaces=\"git\" {key}"),
            "lix-release ssh-rsa AAAA".to_owned(),
            format!("lix-release {}", &key[..40]),
            format!("lix-release {}", key.replace("IAqJ", "IAqK!")),
            format!("lix-release valid-before=\"20300101\" {key}"),
            format!("lix-release cert-authority,namespaces=\"lix-release\" {key}"),
            format!("lix-release namespaces=\"lix-release {key}"),
            format!("lix-release perhaps {key}"),
            format!("lix-release namespaces=\"*\" {key}"),
            format!("lix-release namespaces=\"*,!lix-release\" {key}"),
            format!("lix-release namespaces=\"lix-*\" {key}"),
            format!("lix-release namespaces=\"lix-release\",namespaces=\"git\" {key}"),
            "lix-release".to_owned(),
            key.to_owned(),
        ];
        let said = lines.map(|line| match parse(&line, "lix-release") {
            Ok(keys) => format!("{keys:?}"),
            Err(why) => why,
        });
        expect![[r#"
            [lix-release:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=]
            [lix-release:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=]
            [a@example.org,b@example.org:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=]
            []
            []
            []
            line 1 has a damaged key
            line 1 has no key in base 64
            line 1 has the option `valid-before`, which only `ssh-keygen -Y verify` can judge
            line 1 has the option `cert-authority`, which only `ssh-keygen -Y verify` can judge
            line 1 has an open quote
            line 1 has an option that is not known
            [lix-release:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=]
            line 1 has patterns for namespaces that only `ssh-keygen -Y verify` can judge
            line 1 has patterns for namespaces that only `ssh-keygen -Y verify` can judge
            line 1 has patterns for namespaces that only `ssh-keygen -Y verify` can judge
            line 1 has no key
            line 1 has an option that is not known"#]]
        .assert_eq(&said.join("\n"));
        assert_eq!(parse(&format!("a {key}\nb {key}\n"), "x").expect("valid").len(), 2);
    }
}
