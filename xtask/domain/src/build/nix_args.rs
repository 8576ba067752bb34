//! The arguments that the manager adds after `--`: which of Nix's programs gets which of them.
//!
//! Most options are known to all programs. A few are only for the evaluator that streams, for evaluation, or for
//! building, and the other programs would refuse them.

/// Options, by the program that is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NixArgs {
    /// For `nix-eval-jobs`.
    pub eval_jobs: Vec<String>,
    /// For `nix eval`.
    pub eval: Vec<String>,
    /// For `nix-store --realise` and `nix-prefetch-url`.
    pub build: Vec<String>,
    /// For `nix show-config`.
    pub config: Vec<String>,
}

/// The programs that know an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// `nix-eval-jobs` alone.
    EvalJobs,
    /// Both evaluators.
    Evaluation,
    /// `nix` alone; building shows its logs anyway.
    Nix,
    /// `nix-store` alone.
    Build,
    All,
}

/// Options that not every program knows, with the number of values that follow.
const SPECIAL: [(&str, usize, Who); 17] = [
    ("--workers", 1, Who::EvalJobs),
    ("--max-memory-size", 1, Who::EvalJobs),
    ("--impure", 0, Who::Evaluation),
    ("--override-input", 2, Who::Evaluation),
    ("--no-write-lock-file", 0, Who::Evaluation),
    ("--no-update-lock-file", 0, Who::Evaluation),
    ("--accept-flake-config", 0, Who::All),
    ("--refresh", 0, Who::Evaluation),
    ("--offline", 0, Who::Nix),
    ("-L", 0, Who::Nix),
    ("--print-build-logs", 0, Who::Nix),
    ("--no-build-output", 0, Who::Build),
    ("-Q", 0, Who::Build),
    ("--option", 2, Who::All),
    ("--arg", 2, Who::Evaluation),
    ("--argstr", 2, Who::Evaluation),
    ("--include", 1, Who::Evaluation),
];

/// Options with which the inputs of a flake are not those that it is locked to.
const REPLACING: [&str; 7] = [
    "--impure",
    "--inputs-from",
    "--override-flake",
    "--override-input",
    "--recreate-lock-file",
    "--reference-lock-file",
    "--update-input",
];

impl NixArgs {
    pub fn new(args: &[String]) -> NixArgs {
        let mut split = NixArgs::default();
        let mut rest = args;
        while let Some(option) = rest.first() {
            let special = SPECIAL.iter().find(|(name, ..)| name == option);
            let (values, who) = special.map_or((0, Who::All), |(_, values, who)| (*values, *who));
            let (these, others) = rest.split_at(rest.len().min(1 + values));
            rest = others;
            let programs = [
                (&mut split.eval_jobs, &[Who::EvalJobs, Who::Evaluation][..]),
                (&mut split.eval, &[Who::Evaluation, Who::Nix]),
                (&mut split.build, &[Who::Build]),
                (&mut split.config, &[Who::Nix]),
            ];
            for (program, knows) in programs {
                if who == Who::All || knows.contains(&who) {
                    program.extend_from_slice(these);
                }
            }
        }
        split
    }

    /// Returns those of the options that make the inputs of a flake others than it is locked to.
    pub fn replacing_inputs(args: &[String]) -> Vec<&str> {
        args.iter().map(String::as_str).filter(|arg| REPLACING.contains(arg)).collect()
    }

    /// Returns those of the options that only `nix-eval-jobs` knows.
    pub fn only_for_eval_jobs(args: &[String]) -> Vec<&str> {
        let only = |arg: &&str| SPECIAL.iter().any(|(name, _, who)| name == arg && *who == Who::EvalJobs);
        args.iter().map(String::as_str).filter(only).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn each_program_gets_what_it_knows() {
        let words =
            "--workers 2 -L --max-jobs 4 --impure --max-memory-size 8192 --option cores 1 --override-input a b -Q";
        let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let NixArgs { eval_jobs, eval, build, config } = NixArgs::new(&args);
        let shown = [eval_jobs, eval, build, config].map(|args| args.join(" ")).join("\n");
        expect![[r#"
            --workers 2 --max-jobs 4 --impure --max-memory-size 8192 --option cores 1 --override-input a b
            -L --max-jobs 4 --impure --option cores 1 --override-input a b
            --max-jobs 4 --option cores 1 -Q
            -L --max-jobs 4 --option cores 1"#]]
        .assert_eq(&shown);
        assert_eq!(NixArgs::only_for_eval_jobs(&args), ["--workers", "--max-memory-size"]);
        assert_eq!(NixArgs::replacing_inputs(&args), ["--impure", "--override-input"]);
        assert_eq!(NixArgs::new(&["--workers".to_owned()]).eval_jobs, ["--workers"]);
    }
}
