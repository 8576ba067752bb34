# Set of builds -> what the derivations that they are made of say about themselves: one row for each derivation that has
# a `meta.license` or `meta.homepage`, with all of its outputs. For `nix eval --json --apply`.
#
# Nixpkgs leaves `meta` out of the derivations that it writes to the store, so only an evaluation knows it. It reaches what
# is an argument of a derivation as a value; what is only part of a string is not found.
builds:
let
  inherit (builtins)
    attrValues
    concatMap
    deepSeq
    genericClosure
    isAttrs
    isList
    isString
    map
    tryEval
    unsafeDiscardStringContext
    ;

  # The derivations in an argument. A set that stands for a string may lead anywhere.
  within =
    value:
    if isList value then
      concatMap within value
    else if !isAttrs value then
      [ ]
    else if value.type or null == "derivation" then
      if value ? drvPath then [ value ] else [ ]
    else if value ? outPath || value ? __toString then
      [ ]
    else
      concatMap within (attrValues value);

  item = derivation: {
    key = unsafeDiscardStringContext derivation.drvPath;
    inherit derivation;
  };

  all = genericClosure {
    startSet = map item (within builds);
    operator = { derivation, ... }: map item (within (attrValues (derivation.drvAttrs or { })));
  };

  # What cannot be evaluated is left out, and nothing beside it.
  said =
    value:
    let
      tried = tryEval (deepSeq value value);
    in
    if tried.success then tried.value else [ ];

  list =
    value:
    let
      tried = tryEval value;
    in
    if !tried.success || tried.value == null then
      [ ]
    else if isList value then
      concatMap list value
    else
      [ value ];

  text = value: if isString value then unsafeDiscardStringContext value else null;

  license =
    value:
    if isAttrs value then
      {
        id = text (value.spdxId or null);
        name = text (value.fullName or value.shortName or null);
      }
    else
      {
        id = null;
        name = text value;
      };

  row =
    { derivation, ... }:
    let
      meta = derivation.meta or { };
      licenses = concatMap (one: said [ (license one) ]) (list (meta.license or null));
      homepages = concatMap (page: if isString page then [ (text page) ] else [ ]) (list (meta.homepage or null));
    in
    if licenses == [ ] && homepages == [ ] then
      [ ]
    else
      [
        {
          inherit licenses homepages;
          outputs = map (output: unsafeDiscardStringContext derivation.${output}.outPath) (derivation.outputs or [ "out" ]);
        }
      ];
in
concatMap row all
