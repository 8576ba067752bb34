# Attribute set of jobs -> one row for each derivation in it, as `nix-eval-jobs --force-recurse` gives
# them. For `nix eval --json --apply`. `attrPath` is relative to the set that the function was given.
let
  rows =
    attrPath: value:
    if !builtins.isAttrs value then
      [ ]
    else if value.type or null == "derivation" then
      [
        {
          inherit attrPath;
          inherit (value) drvPath name system;
          attr = builtins.concatStringsSep "." attrPath;
          # The primitive `derivation` has no `outputs` unless it was given some.
          outputs = builtins.listToAttrs (
            map (output: {
              name = output;
              value = value.${output}.outPath;
            }) (value.outputs or [ "out" ])
          );
        }
      ]
    else
      builtins.concatMap (name: rows (attrPath ++ [ name ]) value.${name}) (builtins.attrNames value);
in
rows [ ]
