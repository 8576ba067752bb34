# The jobs of a Lix tree without Lix: small, really built, and without anything to fetch.
#
# Everything has the names, outputs and file formats of Lix's own jobs, and closures of more than one
# path; there is just no Lix in it. The builders use the host's programs, so the sandbox has to be off,
# and they all run on x86_64-linux: the `system` of a derivation says where it is built, and what it
# stands for is said by its place in `hydraJobs` and by its content.
{
  version,
  revision, # full commit hash
  officialRelease,
  manualSource, # directory with SUMMARY.md
}:
let
  inherit (builtins) listToAttrs mapAttrs;

  # The one function of Nixpkgs that release-jobs.nix wants too.
  runCommand =
    name: env: script:
    derivation (
      {
        inherit name;
        system = "x86_64-linux";
        builder = "/bin/sh";
        args = [
          "-euc"
          script
        ];
        PATH = "/usr/bin:/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin";
        LC_ALL = "C";
        # Nobody has these built: asking costs time, and without a network much of it.
        allowSubstitutes = false;
        # With the sandbox on, Nix then names the reason instead of letting the builder fail.
        __noChroot = true;
      }
      // env
    );

  # tar, with nothing of the host in what it writes.
  tar = "tar --format gnu --sort name --mtime @1 --owner 0 --group 0 --numeric-owner --mode u=rwX,go=rX";

  systems = [
    "x86_64-linux"
    "aarch64-linux"
    "aarch64-darwin"
  ];
  # as OCI calls them
  architectures = {
    x86_64-linux = "amd64";
    aarch64-linux = "arm64";
  };

  manual = runCommand "lix-manual-${version}" { inherit version; } ''
    sh ${./manual.sh} ${manualSource} $out
  '';

  # A program from the tree's Cargo workspace, built of copied files, as Lix's package.nix does it: cargo sees these and
  # no others, so a member of the workspace whose files are not listed stops it.
  liblix =
    let
      files = [
        "Cargo.toml"
        "Cargo.lock"
        "stand-in/liblix/Cargo.toml"
        "stand-in/liblix/src/main.rs"
      ];
      copy = file: ''
        mkdir -p source/${dirOf file}
        cp ${../. + "/${file}"} source/${file}
      '';
    in
    runCommand "stand-in-liblix" { } ''
      ${builtins.concatStringsSep "" (map copy files)}
      # Where rustup puts cargo, and what it looks for.
      HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
      [ -e "$HOME/.cargo" ] || export CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup
      PATH=$PATH:$HOME/.cargo/bin:/usr/local/cargo/bin
      export HOME PATH
      command -v cargo > /dev/null || { echo "cargo is neither on $PATH nor in $HOME/.cargo/bin" >&2; exit 1; }
      # Each Nix builds elsewhere, which must not show in what is built.
      export RUSTFLAGS="--remap-path-prefix=$PWD=."
      cd source
      cargo build --quiet --frozen --target-dir ../target
      mkdir -p $out/bin
      cp ../target/debug/liblix $out/bin
    '';

  library =
    system:
    runCommand "liblix-${version}-${system}" { } ''
      mkdir -p $out/lib
      ${liblix}/bin/liblix ${version} ${system} > $out/lib/liblix
    ''
    // {
      meta.license = {
        spdxId = "LGPL-2.1-or-later";
        fullName = "GNU Lesser General Public License v2.1 or later";
      };
    };

  build =
    system:
    runCommand "lix-${version}"
      {
        inherit version;
        outputs = [
          "out"
          "doc"
        ];
        # As a value, as in Nixpkgs: a bill of materials has what it says about itself.
        liblix = library system;
      }
      ''
        mkdir -p $out/bin $doc/share/doc/nix
        cat > $out/bin/nix << END
        #!/bin/sh
        echo "nix (Lix, like Nix) ${version}"
        cat $liblix/lib/liblix
        END
        chmod +x $out/bin/nix
        cp -r ${manual} $doc/share/doc/nix/manual
      ''
    // {
      inherit officialRelease;
      meta = {
        homepage = "https://lix.systems";
        license = {
          spdxId = "LGPL-2.1-or-later";
          fullName = "GNU Lesser General Public License v2.1 or later";
        };
      };
    };

  # What Nix knows about a closure, as `nix-store --load-db` reads it: path, hash, size, no deriver, references. Nix gives
  # it to a builder in JSON only, with these keys in this order.
  registration =
    nix:
    derivation {
      name = "registration";
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [
        "-euc"
        ''
          PATH=/usr/bin:/bin:/run/current-system/sw/bin
          json=''${NIX_ATTRS_JSON_FILE:-.attrs.json}
          out=$(sed 's/.*"outputs":{"out":"\([^"]*\)".*/\1/' "$json")
          grep -o '"narHash":"[^"]*","narSize":[0-9]*,"path":"[^"]*","references":\[[^]]*\]' "$json" |
            sed 's/"narHash":"\([^"]*\)","narSize":\([0-9]*\),"path":"\([^"]*\)","references":\[\(.*\)\]/\3 \1 \2 \4/' |
            tr -d '"' | tr ',' ' ' | LC_ALL=C sort |
            awk '{ print $1; print $2; print $3; print ""; print NF - 3; for (i = 4; i <= NF; i++) print $i }' > "$out"
        ''
      ];
      allowSubstitutes = false;
      __noChroot = true;
      __structuredAttrs = true;
      exportReferencesGraph.closure = [ nix ];
    };

  binaryTarball =
    system: nix:
    let
      directory = "lix-${version}-${system}";
    in
    runCommand "lix-binary-tarball-${version}-${system}" { } ''
      mkdir -p $out/nix-support ${directory}/store
      cp -r ${nix} ${library system} ${directory}/store
      cp ${registration nix} ${directory}/.reginfo
      printf '#!/bin/sh\necho ${nix}\n' > ${directory}/install
      chmod +x ${directory}/install
      ${tar} --create --file ${directory}.tar ${directory}
      xz --threads=1 ${directory}.tar
      mv ${directory}.tar.xz $out
      echo "file binary-dist $out/${directory}.tar.xz" > $out/nix-support/hydra-build-products
    '';

  # A docker-archive of one layer: the closure of `nix`.
  dockerImage =
    system: architecture:
    let
      nix = hydraJobs.build.${system};
      config = {
        inherit architecture;
        os = "linux";
        created = "1970-01-01T00:00:01Z";
        config = {
          Cmd = [ "${nix}/bin/nix" ];
          Labels = {
            "org.opencontainers.image.title" = "Lix";
            "org.opencontainers.image.source" = "https://git.lix.systems/lix-project/lix";
            "org.opencontainers.image.vendor" = "Lix project";
            "org.opencontainers.image.version" = version;
            "org.opencontainers.image.description" = "Stand-in for the Lix container image.";
            "org.opencontainers.image.revision" = revision;
          };
        };
        rootfs = {
          type = "layers";
          diff_ids = [ "sha256:@layer@" ]; # known once the layer is there
        };
      };
    in
    {
      tarball =
        runCommand "lix-docker-image-${version}-${system}"
          {
            config = builtins.toJSON config;
            manifest = builtins.toJSON [
              {
                Config = "config.json";
                RepoTags = [ "lix:${version}" ];
                Layers = [ "layer.tar" ];
              }
            ];
          }
          ''
            closure="${nix} ${library system}"
            ${tar} --create --file layer.tar --directory / $(printf '%s\n' $closure | cut -c2-)
            layer=$(sha256sum < layer.tar)
            printf '%s\n' "$config" | sed "s/@layer@/''${layer%% *}/" > config.json
            printf '%s\n' "$manifest" > manifest.json
            ${tar} --create --file image.tar manifest.json config.json layer.tar
            gzip -n image.tar
            mkdir $out
            mv image.tar.gz $out
          '';
    };

  hydraJobs = {
    build = listToAttrs (
      map (system: {
        name = system;
        value = build system;
      }) systems
    );
    binaryTarball = mapAttrs binaryTarball hydraJobs.build;
    dockerImage = mapAttrs dockerImage architectures;
  };

  # What must build before a release, by profile. A file `stand-in/failing` makes one of them fail.
  releaseChecks =
    let
      runs =
        system:
        runCommand "runs-${system}" { } ''
          ${hydraJobs.build.${system}}/bin/nix --version | grep -F ${version}
          ${if builtins.pathExists ./failing then "echo this fails >&2; exit 1" else "touch $out"}
        '';
      links = runCommand "manual-has-a-start" { } ''
        test -s ${manual}/index.html
        touch $out
      '';
    in
    {
      all = {
        inherit links;
        runs = mapAttrs (system: _: runs system) hydraJobs.build;
      };
      x86_64-linux-only = {
        inherit links;
        runs.x86_64-linux = runs "x86_64-linux";
      };
    };
in
{
  inherit hydraJobs releaseChecks;
  pkgs = { inherit runCommand; };
}
