rec { x86_64-linux = "a\n\${b}$${c}"; i686-linux = "${x86_64-linux}"; }
