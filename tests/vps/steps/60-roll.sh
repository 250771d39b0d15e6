say "a roll under 100 requests a second and 20 streams"
before=$(serving)
load gateway roll --wait
[ "$(serving)" != "$before" ]

say "make install under the same load; nginx is not reloaded"
before=$(workers)
load make -C gateway install
[ "$(workers)" = "$before" ]
