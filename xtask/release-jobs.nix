# What a release builds: `release-jobs.PROFILE` for each profile, made from the flake's `hydraJobs`.
#
# A Lix tree brings its own jobs and adds one output to its flake:
#
#     release-jobs = import ./xtask/release-jobs.nix {
#       inherit (self) hydraJobs;
#       pkgs = nixpkgsFor.x86_64-linux.native;
#     };
#
# It must provide, VERSION being `hydraJobs.build.x86_64-linux.version`:
#
#     build.SYSTEM                 outputs `out` and `doc`; x86_64-linux is always among them, and its
#                                  `doc` holds the manual in share/doc/nix/manual
#     binaryTarball.SYSTEM         holds lix-VERSION-SYSTEM.tar.xz
#     dockerImage.SYSTEM.tarball   holds image.tar.gz (or a link to it), for the two Linux systems
#
# A profile consists of
#
#     build.SYSTEM   as in hydraJobs
#     tarballs       everything that is published, in the layout of lix/lix-VERSION/ in the releases bucket:
#                    each archive, its SHA-256 in a `.sha256` file beside it, and manual/
#
# Other systems in `hydraJobs.build` are not released, and are left out.
{ hydraJobs, pkgs }:
let
  inherit (builtins)
    concatStringsSep
    filter
    listToAttrs
    mapAttrs
    ;

  lix = hydraJobs.build.x86_64-linux;
  prefix = "lix-${lix.version}";

  profiles = {
    all = {
      # Older trees still have x86_64-darwin; a newer one may drop or add one of these.
      systems = filter (system: hydraJobs.build ? ${system}) [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
        "x86_64-darwin"
      ];
      imageSystems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
    };

    # For testing: everything that one machine can build.
    x86_64-linux-only = {
      systems = [ "x86_64-linux" ];
      imageSystems = [ "x86_64-linux" ];
    };
  };

  tarballsFor =
    { systems, imageSystems }:
    pkgs.runCommand "lix-release-tarballs-${lix.version}" { } ''
      mkdir $out
      cd $out
      ${concatStringsSep "\n" (
        map (system: ''
          cp ${hydraJobs.binaryTarball.${system}}/${prefix}-${system}.tar.xz .
        '') systems
        ++ map (system: ''
          cp ${hydraJobs.dockerImage.${system}.tarball}/image.tar.gz ${prefix}-docker-image-${system}.tar.gz
        '') imageSystems
      )}
      cp -r ${lix.doc}/share/doc/nix/manual manual

      # The same bytes from every build: names sorted, and no times, owners or modes of the host. In
      # two steps, because a shell without `pipefail` would not see the first half of a pipe fail.
      tar --create --file ${prefix}-manual.tar --format gnu \
        --sort name --mtime @1 --owner 0 --group 0 --numeric-owner --mode u=rwX,go=rX \
        --transform 'flags=rSH;s,^manual,${prefix}-manual,' manual
      gzip -n -9 ${prefix}-manual.tar

      for archive in *.tar.*; do
        digest=$(sha256sum < $archive)
        echo ''${digest%% *} > $archive.sha256
      done
    '';
in
mapAttrs (_: profile: {
  build = listToAttrs (
    map (system: {
      name = system;
      value = hydraJobs.build.${system};
    }) profile.systems
  );
  tarballs = tarballsFor profile;
}) profiles
