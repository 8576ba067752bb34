# by a person
{
  x86_64-linux = "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1"; /* here */
  "aarch64-darwin" = "/nix/store/cccccccccccccccccccccccccccccccc-lix-2.93.1";
}
