export const COVERS = [
  ['comprehensive', 'Comprehensive'],
  ['third_party', 'Third party'],
];
