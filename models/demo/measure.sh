#!/usr/bin/env bash
# measure.sh CLOISTER FOLDER [FIRST [PERSONS [CROPS]]]: draws synthetic images that training never drew into FOLDER, one view a person with and
# without a mass and with and without calcifications, and has `cloister model evaluate` hold the package against them.
set -euo pipefail
[ "$#" -ge 2 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 64; }
cloister="$1" folder="$2" first="${3:-6000000}" persons="${4:-120}" crops="${5:-1}"
package="$(dirname "${BASH_SOURCE[0]}")/package"
views=(L-CC R-CC L-MLO R-MLO)

mkdir -p "$folder"
# The network's labels are named by its format: here benign says calcifications, and malignant says masses.
echo path,view,benign,malignant >"$folder/list.csv"
for ((seed = first; seed < first + persons; seed++)); do
    view="${views[seed % 4]}"
    for masses in 0 1; do
        for calcifications in 0 1; do
            image="$seed-$masses$calcifications.png"
            "$cloister" synthetic --view "$view" --seed "$seed" --width 640 --height 832 --masses "$masses" \
                --calcifications "$calcifications" --out "$folder/$image"
            echo "$image,$view,$calcifications,$masses" >>"$folder/list.csv"
        done
    done
done
"$cloister" model evaluate --package "$package" --list "$folder/list.csv" --crops "$crops" --plot "$folder/roc-$crops.svg"
