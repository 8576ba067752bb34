//! Access keys that are renewed during a run.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use xtask::domain::environment::{Access, Credentials};
use xtask_publish::tools::keys::KeySource;
use xtask_publish::tools::store::{self, Store};

use crate::repo::make_executable;
use crate::world::{BUCKET, World};

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_until_there_is_a_new_key() -> Result<()> {
    let world = World::embedded().await?;
    let calls = world.file("calls", b"")?;
    let good = serde_json::json!({ "id": world.credentials.id, "secret_key": world.credentials.secret });
    // The second time, it prints half an answer.
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> {calls}\ncase $(wc -l < {calls}) in\n\
         1) echo 'the host is down' >&2; exit 1 ;;\n2) echo '{{\"id\": ' ;;\n*) echo '{good}' ;;\nesac\n"
    );
    let program = world.file("keys", script.as_bytes())?;
    make_executable(&program);

    let expired = store::Credentials { id: "expired".into(), secret: "expired".into(), session_token: None };
    let store = Store::new(&world.endpoint, expired, BUCKET);
    assert!(store.list("").await.is_err(), "the key at hand is no good");
    let program = [program.as_str(), "{access}", "{buckets}"].map(str::to_owned).to_vec();
    let source = KeySource {
        credentials: Credentials::Command { program, renew_after_minutes: 45 },
        access: Access::ReadWrite,
        buckets: vec![BUCKET.to_owned()],
    };
    let soon = Duration::from_millis(1);
    let _renewal = source.keep_fresh(store.clone(), soon, soon);
    let renewed = async {
        while store.list("").await.is_err() {
            tokio::time::sleep(soon).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), renewed).await?;
    assert_eq!(
        fs::read_to_string(&calls)?,
        format!("--read --write {BUCKET}\n").repeat(3),
        "the next is due much later"
    );
    Ok(())
}
