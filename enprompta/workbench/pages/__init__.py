"""The pages of the Workbench, one module each; importing a module registers its pages."""
