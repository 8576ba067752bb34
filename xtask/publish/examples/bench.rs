fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rounds = std::env::args().nth(1).map_or(3, |n| n.parse().expect("n"));
    print!("{}", rt.block_on(xtask_publish::bench::run(dir.path(), rounds))?);
    Ok(())
}
