{
  description = "Release tool for Lix, in a stand-in for a Lix source tree";

  # Only for the development shell: nothing else fetches it.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05-small";

  outputs =
    { self, nixpkgs }:
    let
      officialRelease = false;

      versionJson = builtins.fromJSON (builtins.readFile ./version.json);
      versionSuffix =
        if officialRelease then
          ""
        else
          "-pre${builtins.substring 0 8 self.lastModifiedDate}-${self.shortRev or "dirty"}";

      standIn = import ./stand-in {
        inherit officialRelease;
        version = versionJson.version + versionSuffix;
        revision = self.rev or "0000000000000000000000000000000000000000";
        manualSource = ./doc/manual/src;
      };
    in
    {
      inherit (standIn) hydraJobs;

      release-jobs = import ./xtask/release-jobs.nix {
        inherit (self) hydraJobs;
        inherit (standIn) pkgs;
      };

      release-checks = standIn.releaseChecks;

      packages = builtins.mapAttrs (_: nix: {
        inherit nix;
        default = nix;
      }) self.hydraJobs.build;

      devShells = builtins.mapAttrs (
        system: _:
        let
          pkgs = nixpkgs.legacyPackages.${system};
        in
        {
          default = pkgs.mkShell {
            packages = [
              pkgs.cargo
              pkgs.clippy
              pkgs.git
              pkgs.nix-eval-jobs
              pkgs.rustc
              pkgs.rustfmt
              pkgs.skopeo
            ];
          };
        }
      ) self.hydraJobs.build;
    };
}
