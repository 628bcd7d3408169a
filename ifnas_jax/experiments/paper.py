"""What the paper reports, to be shown beside what is run here, never as it.

Test errors in percent on ImageNet-1k (table 5: ImageNet-100), from its tables 1 to 6.
"""

from ifnas_jax.experiments.tables import Table

NOTE = "From the paper, not run here."

TABLE1 = Table(
    "The paper's Table 1: sizes of spaces",
    ["DARTS", "GOLD-NAS", "4-chain", "6-chain", "8-chain"],
    [["1.1e18", "3.1e117", "1.8e116", "7.5e163", "1.6e204"]],
    NOTE,
)
TABLE2 = Table(
    "The paper's Table 2: ImageNet-1k, 250 epochs",
    ["setting", "top-1 error %", "top-5 error %", "parameters (M)", "MAdds (M)"],
    [
        ["L = 4, DARTS", "25.3", "8.1", "5.1", "589"],
        ["L = 4, PC-DARTS", "24.7", "7.5", "5.3", "593"],
        ["L = 4, GOLD-NAS", "24.7", "7.5", "5.5", "591"],
        ["L = 4, IF-NAS", "24.3", "7.4", "5.3", "592"],
        ["L = 6, DARTS", "25.7", "8.1", "5.1", "587"],
        ["L = 6, PC-DARTS", "24.9", "7.7", "5.2", "586"],
        ["L = 6, GOLD-NAS", "25.0", "7.8", "5.4", "596"],
        ["L = 6, IF-NAS", "24.4", "7.4", "5.2", "598"],
        ["L = 8, DARTS", "25.9", "8.2", "5.2", "591"],
        ["L = 8, PC-DARTS", "25.1", "7.9", "5.2", "582"],
        ["L = 8, GOLD-NAS", "25.1", "7.9", "5.3", "592"],
        ["L = 8, IF-NAS", "24.3", "7.3", "5.4", "594"],
    ],
    NOTE,
)
TABLE3 = Table(
    "The paper's Table 3: one input a node, ImageNet-1k, 100 epochs, top-1 error %",
    ["setting", "random", "DARTS", "GOLD-NAS", "IF-NAS"],
    [
        ["L = 4", "27.6 ± 0.3", "29.8", "28.8", "26.7"],
        ["L = 6", "28.0 ± 0.3", "30.2", "29.0", "26.9"],
        ["L = 8", "28.9 ± 0.4", "31.6", "30.8", "27.3"],
    ],
    NOTE,
)
TABLE4 = Table(
    "The paper's Table 4: L = 4, four searches each, ImageNet-1k, 100 epochs",
    ["setting", "depth", "parameters (M)", "top-1 error %"],
    [
        ["w/o IF", "22.5 ± 2.0", "5.2 ± 0.2", "26.7 ± 0.3"],
        ["w/ IF", "43 ± 3", "5.3 ± 0.1", "26.0 ± 0.3"],
    ],
    NOTE,
)
TABLE5 = Table(
    "The paper's Table 5: interleaved connections (IC), ImageNet-100, 100 epochs",
    ["IC", "depth", "parameters (M)", "top-1 error %"],
    [
        ["0", "41.5 ± 2.5", "5.0 ± 0.1", "19.1 ± 0.2"],
        ["1", "26.0 ± 3.0", "4.9 ± 0.3", "19.7 ± 0.3"],
        ["2", "24.5 ± 2.5", "5.0 ± 0.3", "19.9 ± 0.4"],
        ["3", "24.0 ± 3.0", "5.0 ± 0.2", "20.0 ± 0.3"],
    ],
    NOTE,
)
TABLE6 = Table(
    "The paper's Table 6: cells, ImageNet-1k, 250 epochs",
    ["setting", "parameters (M)", "top-1 error %"],
    [
        ["space_D, DARTS", "4.7", "26.7"],
        ["space_D, P-DARTS", "4.9", "24.4"],
        ["space_D, PC-DARTS", "5.3", "24.2"],
        ["space_D, IF-NAS", "5.3", "24.2"],
        ["space_G, GOLD-NAS-I", "5.3", "24.7"],
        ["space_G, GOLD-NAS-X", "6.4", "24.3"],
        ["space_G, IF-NAS-G1", "5.1", "24.5"],
        ["space_G, IF-NAS-G2", "6.0", "24.2"],
    ],
    NOTE,
)
